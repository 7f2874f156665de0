"""The folder for files that can be computed again."""

from __future__ import annotations

from pathlib import Path

import pytest

from lastword.files.cache_folder import cache_folder


def test_the_cache_follows_the_environment(monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("LASTWORD_CACHE", "XDG_CACHE_HOME"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert cache_folder("vectors") == Path("/home/somebody/.cache/lastword/vectors")
    monkeypatch.setenv("XDG_CACHE_HOME", "/var/caches")
    assert cache_folder("vectors") == Path("/var/caches/lastword/vectors")
    monkeypatch.setenv("LASTWORD_CACHE", "/scratch/cache")
    assert cache_folder("results") == Path("/scratch/cache/results")
