"""A small local Hub with the routes that huggingface_hub uses, and fault injection.

Large files are kept apart (LFS) and are served by "another host": the resolve route answers with a
redirect from 127.0.0.1 to localhost, as the real Hub does to its storage.
"""

from __future__ import annotations

import base64
import contextlib
import hashlib
import json
import re
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import unquote, urlsplit

BLOCK = 4096
LFS_SUFFIX = ".safetensors"


@dataclass
class Repository:
    """Commits by hash, each with all its files; branches and tags by name."""

    private: bool = False
    commits: dict[str, dict[str, bytes]] = field(default_factory=dict)
    refs: dict[str, str] = field(default_factory=dict)

    def commit(self, files: dict[str, bytes], branch: str = "main") -> str:
        before = self.commits.get(self.refs.get(branch, ""), {})
        seed = f"{len(self.commits)} {sorted(files)}".encode() + b"".join(files.values())
        commit = hashlib.sha1(seed).hexdigest()
        self.commits[commit] = {**before, **files}
        self.refs[branch] = commit
        return commit

    def resolve(self, revision: str) -> str | None:
        commit = self.refs.get(revision, revision)
        return commit if commit in self.commits else None


@dataclass
class Faults:
    """Faults to inject; none by default. Those of bodies apply to files, not to the API."""

    status: int = 0  # of the answer to requests whose path contains `path`, `times` times
    headers: dict[str, str] = field(default_factory=dict)
    path: str = "/"
    times: int = 10**6
    cut_after: int = -1  # close the connection after so many bytes of a body, `cut_times` times
    cut_times: int = 10**6
    stall_after: int = -1  # send nothing after this byte of a file
    stall_path: str = ""  # do not answer requests whose path contains this
    wrong_bytes: bool = False  # change the last byte of a body
    longer: int = 0  # send so many extra bytes, without a Content-Length
    announce: int = 0  # add this to the announced length of a body
    metadata_size: int = 0  # add this to the stated size of a file
    no_ranges: bool = False  # ignore Range
    block_seconds: float = 0.0  # wait before each 4 KiB of a body
    no_hub: bool = False  # answer with an HTML page, as the login page of a hotel does
    no_hashes: bool = False  # state no hashes of files, as some mirrors do


@dataclass(frozen=True)
class Request:
    """A request that the server received."""

    method: str
    path: str
    authorization: str | None
    agent: str


class Hub:
    """The server; a context manager. Writing and private repositories need the token."""

    def __init__(self, token: str = "hf_test") -> None:
        self.token = token
        self.repositories: dict[str, Repository] = {}
        self.objects: dict[str, bytes] = {}
        self.faults = Faults()
        self.seen: list[Request] = []
        self.sent = 0  # bytes of bodies of files
        self.stopping = threading.Event()
        self.body_started = threading.Event()
        handler = type("Handler", (_Handler,), {"hub": self})
        self._server = ThreadingHTTPServer(("127.0.0.1", 0), handler)
        self._server.daemon_threads = True
        self._server.block_on_close = False
        self.port = self._server.server_address[1]
        self.url = f"http://127.0.0.1:{self.port}"

    def __enter__(self) -> Hub:
        threading.Thread(target=self._server.serve_forever, args=(0.05,), daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.stopping.set()
        self._server.shutdown()
        self._server.server_close()

    def add(self, repo: str, files: dict[str, bytes], private: bool = False) -> str:
        """Commit files to a repository, made when missing, and return the commit."""
        repository = self.repositories.setdefault(repo, Repository(private))
        return repository.commit(files)

    def requests(self, method: str, part: str = "") -> list[Request]:
        """Return the requests with a method whose path holds a part."""
        return [seen for seen in self.seen if seen.method == method and part in seen.path]

    def bodies(self) -> list[Request]:
        """Return the requests for the content of a file."""
        return [seen for seen in self.requests("GET") if "/api/" not in seen.path]


class _Gone(Exception):
    """The connection was closed on purpose."""


class _Handler(BaseHTTPRequestHandler):
    hub: Hub
    protocol_version = "HTTP/1.1"

    def log_message(self, *_: object) -> None:
        pass

    def handle(self) -> None:
        with contextlib.suppress(ConnectionError, _Gone):
            super().handle()

    def _route(self) -> None:
        hub, faults, method = self.hub, self.hub.faults, self.command
        path = unquote(urlsplit(self.path).path)
        authorization, agent = self.headers.get("Authorization"), self.headers.get("User-Agent")
        hub.seen.append(Request(method, path, authorization, agent or ""))
        self.body = self.rfile.read(int(self.headers.get("Content-Length") or 0))
        if faults.stall_path and faults.stall_path in path:
            hub.stopping.wait(60)
            raise _Gone
        if faults.status and faults.times > 0 and faults.path in path:
            faults.times -= 1
            return self._answer(faults.status, {"error": "as asked"}, faults.headers)
        if faults.no_hub:
            return self._answer(200, b"<html>Log in</html>")
        for pattern, action in self._routes(method):
            if match := re.fullmatch(pattern, path):
                return action(*match.groups())
        return self._answer(404, {"error": f"no such route: {method} {path}"})

    do_HEAD = do_GET = do_POST = do_PUT = _route  # noqa: N815  (names of the library)

    def _routes(self, method: str) -> Iterator[tuple[str, Any]]:
        repo = r"([^/]+/[^/]+)"
        if method in ("GET", "HEAD"):
            yield rf"/api/models/{repo}/revision/(.+)", self._info
            yield rf"/api/models/{repo}", self._info
            yield rf"/{repo}/resolve/([^/]+)/(.+)", self._resolve
            yield r"/storage/([0-9a-f]{64})", self._storage
        if method == "POST":
            yield r"/api/repos/create", self._create
            yield r"/api/validate-yaml", lambda: self._answer(200, {"errors": [], "warnings": []})
            yield rf"/api/models/{repo}/preupload/(.+)", self._preupload
            yield rf"/{repo}\.git/info/lfs/objects/batch", self._batch
            yield r"/verify", lambda: self._answer(200, {})
            yield rf"/api/models/{repo}/commit/(.+)", self._commit
        if method == "PUT":
            yield r"/storage/([0-9a-f]{64})", self._store

    # Reading

    def _find(self, repo: str, revision: str) -> tuple[Repository, str] | None:
        repository = self.hub.repositories.get(repo)
        if repository is None or (repository.private and not self._is_known()):
            self._refuse(404, "RepoNotFound", "Repository not found")
            return None
        commit = repository.resolve(revision)
        if commit is None:
            self._refuse(404, "RevisionNotFound", f"Invalid rev id: {revision}")
            return None
        return repository, commit

    def _info(self, repo: str, revision: str = "main") -> None:
        if found := self._find(repo, revision):
            repository, commit = found
            siblings = [self._sibling(*file) for file in repository.commits[commit].items()]
            content = {"id": repo, "sha": commit, "private": repository.private}
            self._answer(200, {**content, "siblings": siblings, "tags": [], "downloads": 0})

    def _sibling(self, name: str, content: bytes) -> dict[str, Any]:
        faults, size = self.hub.faults, len(content) + self.hub.faults.metadata_size
        if faults.no_hashes or "blobs=" not in self.path:
            return {"rfilename": name}
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        file = {"rfilename": name, "size": size, "blobId": blob}
        if name.endswith(LFS_SUFFIX):
            sha256 = hashlib.sha256(content).hexdigest()
            file["lfs"] = {"size": size, "sha256": sha256, "pointerSize": 130}
        return file

    def _resolve(self, repo: str, revision: str, name: str) -> None:
        found = self._find(repo, revision)
        if found is None:
            return None
        repository, commit = found
        content = repository.commits[commit].get(name)
        if content is None:
            return self._refuse(404, "EntryNotFound", "Entry not found", {"X-Repo-Commit": commit})
        faults = self.hub.faults
        size = str(len(content) + faults.metadata_size)
        headers = {"X-Repo-Commit": commit, "Accept-Ranges": "bytes"}
        if name.endswith(LFS_SUFFIX):
            oid = hashlib.sha256(content).hexdigest()
            self.hub.objects[oid] = content
            headers |= {"X-Linked-Etag": f'"{oid}"', "X-Linked-Size": size}
            headers["Location"] = f"http://localhost:{self.hub.port}/storage/{oid}"
            return self._answer(302, b"", headers)
        blob = hashlib.sha1(b"blob %d\0" % len(content) + content).hexdigest()
        headers["ETag"] = f'"{blob}"'
        if self.command == "HEAD":
            return self._answer(200, b"", headers, length=int(size))
        return self._send(content, headers)

    def _storage(self, oid: str) -> None:
        self._send(self.hub.objects[oid], {"ETag": f'"{oid}"'})

    def _send(self, content: bytes, headers: dict[str, str]) -> None:
        faults, start, status = self.hub.faults, 0, 200
        asked = re.fullmatch(r"bytes=(\d+)-", self.headers.get("Range", ""))
        if asked and not faults.no_ranges:
            start, status = int(asked[1]), 206
            headers["Content-Range"] = f"bytes {start}-{len(content) - 1}/{len(content)}"
        if faults.wrong_bytes:
            content = content[:-1] + bytes([content[-1] ^ 1])
        body = content[start:] + b"x" * faults.longer
        self.send_response(status)
        for name, value in headers.items():
            self.send_header(name, value)
        if faults.longer:
            self.send_header("Connection", "close")
            self.close_connection = True
        else:
            self.send_header("Content-Length", str(len(body) + faults.announce))
        self.end_headers()
        self._pour(body, start)
        if faults.announce:
            raise _Gone

    def _pour(self, body: bytes, start: int) -> None:
        faults = self.hub.faults
        cut = faults.cut_after if faults.cut_after >= 0 and faults.cut_times > 0 else None
        for position in range(0, len(body), BLOCK):
            block = body[position : position + BLOCK]
            if cut is not None and position + len(block) > cut:
                faults.cut_times -= 1
                self._write(block[: max(cut - position, 0)])
                raise _Gone
            if 0 <= faults.stall_after < start + position + len(block):
                self._write(block[: max(faults.stall_after - start - position, 0)])
                self.hub.body_started.set()
                self.hub.stopping.wait(60)
                raise _Gone
            if faults.block_seconds:
                time.sleep(faults.block_seconds)
            self._write(block)
            self.hub.body_started.set()

    def _write(self, block: bytes) -> None:
        self.wfile.write(block)
        self.wfile.flush()
        self.hub.sent += len(block)

    # Writing

    def _is_known(self) -> bool:
        return self.headers.get("Authorization") == f"Bearer {self.hub.token}"

    def _may_write(self) -> bool:
        if not self._is_known():
            self._answer(401, {"error": "Invalid username or password."})
        return self._is_known()

    def _create(self) -> None:
        if not self._may_write():
            return None
        asked = json.loads(self.body)
        repo = f"{asked['organization']}/{asked['name']}"
        answer = {"url": f"{self.hub.url}/{repo}", "name": repo}
        if repo in self.hub.repositories:
            return self._answer(409, {"error": "You already created this model repo", **answer})
        private = asked.get("visibility") == "private" or asked.get("private") is True
        self.hub.repositories[repo] = Repository(private)
        self.hub.add(repo, {".gitattributes": b"*.safetensors filter=lfs\n"})
        return self._answer(200, answer)

    def _preupload(self, repo: str, _: str) -> None:
        files = []
        for file in json.loads(self.body)["files"]:
            mode = "lfs" if file["path"].endswith(LFS_SUFFIX) else "regular"
            files.append({"path": file["path"], "uploadMode": mode, "shouldIgnore": False})
        self._answer(200, {"files": files})

    def _batch(self, _: str) -> None:
        objects = []
        for wanted in json.loads(self.body)["objects"]:
            answer = {"oid": wanted["oid"], "size": wanted["size"]}
            if wanted["oid"] not in self.hub.objects:
                url = f"{self.hub.url}/storage/{wanted['oid']}"
                verify = {"href": f"{self.hub.url}/verify"}
                answer["actions"] = {"upload": {"href": url}, "verify": verify}
            objects.append(answer)
        self._answer(200, {"transfer": "basic", "objects": objects})

    def _store(self, oid: str) -> None:
        self.hub.objects[oid] = self.body
        self._answer(200, b"")

    def _commit(self, repo: str, branch: str) -> None:
        if not self._may_write():
            return
        files = {}
        for line in self.body.splitlines():
            item = json.loads(line)
            value = item["value"]
            if item["key"] == "file":
                files[value["path"]] = base64.b64decode(value["content"])
            elif item["key"] == "lfsFile":
                files[value["path"]] = self.hub.objects[value["oid"]]
        commit = self.hub.repositories[repo].commit(files, branch)
        url = f"{self.hub.url}/{repo}/commit/{commit}"
        self._answer(200, {"success": True, "commitUrl": url, "commitOid": commit})

    # Answers

    def _refuse(
        self, status: int, code: str, text: str, headers: dict[str, str] | None = None
    ) -> None:
        extra = {"X-Error-Code": code, "X-Error-Message": text, **(headers or {})}
        self._answer(status, {"error": text}, extra)

    def _answer(
        self,
        status: int,
        content: bytes | dict[str, Any],
        headers: dict[str, str] | None = None,
        length: int | None = None,
    ) -> None:
        body = content if isinstance(content, bytes) else json.dumps(content).encode()
        self.send_response(status)
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        if isinstance(content, dict):
            self.send_header("Content-Type", "application/json")
        self.send_header("Content-Length", str(len(body) if length is None else length))
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)
