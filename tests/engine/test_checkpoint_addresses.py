"""Checkpoints by address: every scheme of mmengine's loader is safe; downloads are whole."""

import json
import os
import pickle
import re
import sys
import threading
import types
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path

import mmengine.runner.checkpoint as mmengine_checkpoint
import pytest
import torch
from mmengine.logging import HistoryBuffer
from mmengine.runner import CheckpointLoader

from mmhadaptive.engine.launch import leave_process_group

from ..apart import run_ranks


class Attack:
    def __init__(self, path):
        self.path = path

    def __reduce__(self):
        return os.mkdir, (str(self.path),)


@pytest.fixture
def zoo(tmp_path, monkeypatch):
    """A folder whose files every scheme finds by their names, without a network."""
    folder = tmp_path / "checkpoints"
    folder.mkdir()
    monkeypatch.setenv("TORCH_HOME", "/nowhere")
    monkeypatch.setenv("MMENGINE_HOME", str(folder))
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path))
    web = {name: f"https://a.host/{name}" for name in ("good.pth", "evil.pth")}
    local = {f"local/{name}": name for name in web}
    monkeypatch.setattr(mmengine_checkpoint, "get_torchvision_models", lambda: web)
    monkeypatch.setattr(mmengine_checkpoint, "get_mmcls_models", lambda: web)
    monkeypatch.setattr(mmengine_checkpoint, "get_external_models", lambda: web | local)

    def read(address):
        return (folder / Path(address).name).read_bytes()

    storage = types.SimpleNamespace(get=read)
    monkeypatch.setattr(mmengine_checkpoint, "get_file_backend", lambda *args, **kwargs: storage)

    def model(address):
        return types.SimpleNamespace(
            name=address, download=lambda path: Path(path).write_bytes(read(address))
        )

    pavi = types.SimpleNamespace(modelcloud=types.SimpleNamespace(get=model))
    monkeypatch.setitem(sys.modules, "pavi", pavi)

    torch.save(dict(state_dict={"backbone.a": torch.ones(2)}), folder / "good.pth")
    torch.save(dict(state_dict={}, extra=Attack(tmp_path / "owned")), folder / "evil.pth")
    yield folder
    assert not (tmp_path / "owned").exists()


def addresses(folder):
    """One address per scheme; a scheme's prefix may be a regular expression."""
    for prefix in CheckpointLoader._schemes:
        scheme = re.sub(r"^\(.*\)\?", "", prefix)
        yield (scheme or f"{folder}/") + ("a.host/" if scheme.startswith("http") else "")
    yield "openmmlab://local/"


def test_no_scheme_runs_code(zoo):
    found = list(addresses(zoo))
    assert {"s3://", "mmcls://", "pavi://", f"{zoo}/"} < set(found)
    for address in found:
        state = CheckpointLoader.load_checkpoint(address + "good.pth")["state_dict"]
        assert torch.equal(next(iter(state.values())), torch.ones(2)), address
        with pytest.raises(pickle.UnpicklingError) as error:
            CheckpointLoader.load_checkpoint(address + "evil.pth")
        assert address in str(error.value)


def test_mmengines_loaders_are_safe_when_called_directly(zoo):
    for load, address in (
        (mmengine_checkpoint.load_from_local, f"{zoo}/"),
        (mmengine_checkpoint.load_from_http, "https://a.host/"),
        (mmengine_checkpoint.load_from_torchvision, "torchvision://"),
        (mmengine_checkpoint.load_from_openmmlab, "openmmlab://local/"),
        (mmengine_checkpoint.load_from_ceph, "s3://"),
    ):
        assert load(address + "good.pth", map_location="cpu")
        with pytest.raises(pickle.UnpicklingError):
            load(address + "evil.pth", map_location="cpu")


def test_schemes_registered_later_are_safe(zoo, monkeypatch):
    def load_from_later(filename, map_location=None):
        return torch.load(zoo / Path(filename).name, weights_only=False, pickle_module=pickle)

    def load_from_hub(filename, map_location=None):
        return torch.hub.load_state_dict_from_url(f"https://a.host/{Path(filename).name}")

    monkeypatch.setattr(CheckpointLoader, "_schemes", CheckpointLoader._schemes)
    CheckpointLoader.register_scheme("later://", load_from_later)
    CheckpointLoader.register_scheme("hub://", load_from_hub)
    torch_load = torch.load
    for scheme in ("later", "hub"):
        assert CheckpointLoader.load_checkpoint(f"{scheme}://good.pth")
        with pytest.raises(pickle.UnpicklingError, match=f"{scheme}://evil.pth was not loaded"):
            CheckpointLoader.load_checkpoint(f"{scheme}://evil.pth")
    assert torch.load is torch_load


@pytest.fixture
def server(tmp_path):
    """The address of a web server; it notes what was asked for."""
    torch.save(dict(log=HistoryBuffer([1.0], [1]), a=torch.ones(2)), tmp_path / "served.pth")
    body = (tmp_path / "served.pth").read_bytes()

    class Handler(BaseHTTPRequestHandler):
        def do_GET(self):
            with asking:
                asked.append(self.path)
                # Of a short file the half is sent, once.
                half = "short" in self.path and asked.count(self.path) == 1
            self.send_response(404 if "missing" in self.path else 200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            self.wfile.write(body[: len(body) // 2] if half else body)

        def log_message(self, *args):
            pass

    asked, asking = [], threading.Lock()
    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as http:
        threading.Thread(target=http.serve_forever, daemon=True).start()
        yield types.SimpleNamespace(
            address=f"http://127.0.0.1:{http.server_port}", asked=asked, body=body
        )
        http.shutdown()


def test_half_a_download_is_not_taken_for_a_whole_one(server, tmp_path, monkeypatch):
    monkeypatch.setattr(torch.hub, "get_dir", lambda: str(tmp_path / "hub"))
    # Some launchers set it for processes that do not form a group.
    monkeypatch.setenv("LOCAL_RANK", "1")
    for name in ("short.pth", "missing.pth"):
        with pytest.raises(ConnectionError, match=rf"{server.address}/{name} was not downloaded"):
            CheckpointLoader.load_checkpoint(f"{server.address}/{name}")
        assert not list(tmp_path.glob("hub/*/*"))
    for _ in range(2):
        loaded = CheckpointLoader.load_checkpoint(f"{server.address}/short.pth")
        assert torch.equal(loaded["a"], torch.ones(2))
    assert (tmp_path / "hub" / "checkpoints" / "short.pth").read_bytes() == server.body
    assert server.asked == ["/short.pth", "/missing.pth", "/short.pth"]


def load_as_rank(rank, folder, address):
    """Load on two nodes of one process, then on one node of two processes."""
    os.environ["LOCAL_RANK"] = "0"
    os.environ["TORCH_HOME"] = str(folder / f"node{rank}")
    torch.distributed.init_process_group(
        "gloo", init_method=f"file://{folder}/store", rank=rank, world_size=2
    )
    results = []
    for name in ("nodes.pth", "short.pth"):
        try:
            results.append(CheckpointLoader.load_checkpoint(f"{address}/{name}")["a"].tolist())
        except ConnectionError as error:
            results.append(str(error))
    os.environ["LOCAL_RANK"] = str(rank)
    os.environ["TORCH_HOME"] = str(folder / "shared")
    results.append(CheckpointLoader.load_checkpoint(f"{address}/processes.pth")["a"].tolist())
    (folder / f"rank{rank}.json").write_text(json.dumps(results))
    leave_process_group()


def test_each_node_downloads_once(server, tmp_path):
    run_ranks(load_as_rank, tmp_path, server.address)
    first, second = (json.loads((tmp_path / f"rank{rank}.json").read_text()) for rank in range(2))
    # The download that failed on one node is an error on both: none waits for the other.
    assert first == second
    assert first[::2] == [[1.0, 1.0], [1.0, 1.0]]
    assert f"{server.address}/short.pth was not downloaded" in first[1]
    assert sorted(server.asked) == ["/nodes.pth"] * 2 + ["/processes.pth"] + ["/short.pth"] * 2
    for node in ("node0", "node1"):
        assert (tmp_path / node / "hub/checkpoints/nodes.pth").read_bytes() == server.body
