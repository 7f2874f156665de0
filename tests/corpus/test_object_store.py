"""Files in an object store: read like local ones from a real S3 server, and one clear line for what is missing."""

from __future__ import annotations

import importlib
import io
import os
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from lastword import embed_corpus
from lastword.corpus import texts as texts_module
from lastword.errors import MissingExtraError, MissingFileError, RequestError, TableError
from lastword.files.run_folder import require_writable
from tests.corpus.hashing import HashEncoder
from tests.corpus.test_embed import assert_complete

Refused = Callable[..., str]
TEXTS = [f"text of row {number}" for number in range(21)]
KEYS = {"AWS_ACCESS_KEY_ID": "key", "AWS_SECRET_ACCESS_KEY": "secret"}
ADVICE = "check the network, or give a copy on this disk"
ELSEWHERE = {
    "AWS_EC2_METADATA_DISABLED": "true",
    "AWS_DEFAULT_REGION": "us-east-1",
    "AWS_CONFIG_FILE": os.devnull,
}


@pytest.fixture(scope="module")
def server() -> Iterator[str]:
    """The address of moto's S3 server, in a process of its own."""
    pytest.importorskip(
        "moto.server", reason="needs moto and s3fs: pip install 'moto[s3]' flask flask-cors s3fs"
    )
    pytest.importorskip("s3fs", reason="needs s3fs: pip install 'lastword[remote]'")
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    command = [sys.executable, "-m", "moto.server", "-H", "127.0.0.1", "-p", str(port)]
    with subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as process:
        address = f"http://127.0.0.1:{port}"
        for _ in range(300):
            try:
                urllib.request.urlopen(f"{address}/moto-api/").close()
                break
            except OSError:
                time.sleep(0.2)
        yield address
        process.terminate()


@pytest.fixture
def bucket(server: str, monkeypatch: pytest.MonkeyPatch) -> Iterator[Any]:
    """The file system of a new bucket `corpus` with three CSV files."""
    import s3fs

    for name, value in (ELSEWHERE | KEYS | {"AWS_ENDPOINT_URL": server}).items():
        monkeypatch.setenv(name, value)
    s3fs.S3FileSystem.clear_instance_cache()
    filesystem = s3fs.S3FileSystem()
    filesystem.mkdir("corpus")
    for part in range(3):
        rows = "".join(f"{text}\n" for text in TEXTS[7 * part : 7 * part + 7])
        filesystem.pipe(f"corpus/part-{part}.csv", f"text\n{rows}".encode())
    yield filesystem
    filesystem.rm("corpus", recursive=True)
    s3fs.S3FileSystem.clear_instance_cache()


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")  # of the libraries of the store
def test_files_of_a_bucket(bucket: Any, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Patterns, several files and Parquet; an interrupted run is resumed, and an update embeds what is new."""
    monkeypatch.setattr(texts_module, "CHUNK_ROWS", 10)
    embed_corpus("s3://corpus/part-*.csv", tmp_path / "a", HashEncoder())
    assert_complete(tmp_path / "a", TEXTS)
    embed_corpus([f"s3://corpus/part-{part}.csv" for part in range(3)], tmp_path / "b", HashEncoder())
    assert_complete(tmp_path / "b", TEXTS)
    buffer = io.BytesIO()
    pq.write_table(pa.table({"text": TEXTS}), buffer)
    bucket.pipe("corpus/all.parquet", buffer.getvalue())
    embed_corpus("s3://corpus/all.parquet", tmp_path / "c", HashEncoder())
    assert_complete(tmp_path / "c", TEXTS)
    bucket.pipe("corpus/part-3.csv", b"text\none more\n")
    result = embed_corpus("s3://corpus/part-*.csv", tmp_path / "a", HashEncoder(), update=True)
    assert (result.embedded, result.reused) == (1, 21)
    assert_complete(tmp_path / "a", [*TEXTS, "one more"])


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore")
def test_what_is_missing_in_a_store(
    bucket: Any, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    import s3fs

    def message(kind: type[Exception], address: str, **environment: str) -> str:
        with monkeypatch.context() as patch:
            for name, value in environment.items():
                patch.setenv(name, value) if value else patch.delenv(name)
            s3fs.S3FileSystem.clear_instance_cache()
            return refused(kind, embed_corpus, address, tmp_path / "out", HashEncoder())

    bucket.pipe("corpus/folder.csv/inside.csv", b"text\na\n")
    assert (
        message(MissingFileError, "s3://corpus/no.csv") == "no file s3://corpus/no.csv: give one that exists"
    )
    assert message(MissingFileError, "s3://corpus/no-*.csv").startswith(
        "no file matches s3://corpus/no-*.csv:"
    )
    assert message(MissingFileError, "s3://corpus/folder.csv").startswith(
        "s3://corpus/folder.csv is a folder:"
    )
    for name in ("a.csv", "*.csv"):
        assert message(MissingFileError, f"s3://absent/{name}").startswith("no bucket")
    nobody = dict.fromkeys(KEYS, "")
    for address in ("s3://corpus/part-0.csv", "s3://corpus/part-*.csv"):
        without = message(TableError, address, **nobody)
        assert without.startswith(
            f"{address} cannot be read: Unable to locate credentials; give credentials that"
        )
    unreachable = message(TableError, "s3://corpus/part-0.csv", AWS_ENDPOINT_URL="http://127.0.0.1:9")
    assert (
        unreachable == f"s3://corpus/part-0.csv cannot be read: no connection to http://127.0.0.1:9; {ADVICE}"
    )


@pytest.mark.parametrize(
    ("address", "server"),
    [
        ("hf://datasets/owner/name", "HF_ENDPOINT"),
        ("hf://datasets/owner/name@test", "HF_ENDPOINT"),
        ("hub:owner/name", "HF_ENDPOINT"),
        ("hf://datasets/owner/name/a.csv", "HF_ENDPOINT"),
        ("gs://bucket/a.csv", "STORAGE_EMULATOR_HOST"),
        ("s3://bucket/*.csv", "AWS_ENDPOINT_URL"),
        ("http://127.0.0.1:9/a.csv", ""),
    ],
)
def test_a_server_that_does_not_answer(address: str, server: str, tmp_path: Path) -> None:
    """One line, with the address as it was given; no library tries again and logs it."""
    library = {"gs": "gcsfs", "s3": "s3fs", "http": "aiohttp"}.get(address.partition(":")[0])
    if library:
        pytest.importorskip(library, reason=f"needs {library}: pip install 'lastword[remote]'")
    environment = ELSEWHERE | KEYS | ({server: "http://127.0.0.1:9"} if server else {})
    done = subprocess.run(
        [sys.executable, "-m", "lastword", "embed", address, "--output", str(tmp_path / "out")],
        env={**os.environ, **environment, "HF_HUB_OFFLINE": "0"}, capture_output=True, text=True, check=False,
    )  # fmt: skip
    message = f"lastword: {address} cannot be read: no connection to http://127.0.0.1:9; {ADVICE}\n"
    assert (done.stderr, done.stdout, done.returncode) == (message, "", 2)


@pytest.mark.parametrize("address", ["gs://bucket/a.csv", "s3://bucket/*.parquet", "abfs://bucket/a.jsonl"])
def test_a_store_whose_library_is_missing(
    address: str, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = importlib.import_module("fsspec.registry")._registry
    for scheme, library in (("gs", "gcsfs"), ("s3", "s3fs"), ("abfs", "adlfs")):
        monkeypatch.setitem(sys.modules, library, None)
        monkeypatch.delitem(known, scheme, raising=False)  # from an earlier test
    message = refused(MissingExtraError, embed_corpus, address, tmp_path / "out", HashEncoder())
    assert message.startswith(f"reading {address}: ")
    assert "pip install" in message


@pytest.mark.parametrize(
    "output", ["s3://bucket/out", "gs://bucket/a/b", "hf://datasets/owner/name", "file:///tmp/x"]
)
def test_an_address_is_no_output(
    output: str, tmp_path: Path, refused: Refused, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Taken as a path, it would become a folder of the name `s3:`."""
    monkeypatch.chdir(tmp_path)
    message = refused(RequestError, require_writable, Path(output))
    assert "choose a local path, and copy the output when it is there" in message
    assert "resumed" in refused(RequestError, embed_corpus, "topics", output, HashEncoder())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("output", ["s", "C", "a:b", "x/http:/y"])
def test_a_name_with_a_colon_is_an_output(output: str, tmp_path: Path) -> None:
    require_writable(tmp_path / output)
