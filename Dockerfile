# The flomo command with its model: docker build -t flomo .
# For a GPU:                       docker build -t flomo --build-arg EXTRAS=torch,cohort,dicom,report .
#                                  docker run --gpus all ... flomo segment --device cuda ...
ARG PYTHON=3.12

FROM python:${PYTHON}-slim-bookworm AS build
ARG EXTRAS=cohort,dicom,report
WORKDIR /source
COPY pyproject.toml constraints-ci.txt README.md LICENSE ./
COPY napari_flomo napari_flomo
COPY training/flomo_training training/flomo_training
RUN python -m venv /opt/flomo \
    && /opt/flomo/bin/pip install --no-cache-dir -c constraints-ci.txt ".[${EXTRAS}]"

FROM python:${PYTHON}-slim-bookworm
COPY --from=build /opt/flomo /opt/flomo
# Anybody may write into the home folder: with --user, somebody else runs the command.
RUN useradd --uid 1000 --create-home flomo && chmod 1777 /home/flomo
# Everything is inside: nothing asks the network.
ENV PATH=/opt/flomo/bin:$PATH HOME=/home/flomo HF_HUB_OFFLINE=1 PYTHONUTF8=1
USER 1000
WORKDIR /data
ENTRYPOINT ["flomo"]
CMD ["--help"]
