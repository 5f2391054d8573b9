from __future__ import annotations

from lux9.fs.lru import Lru


def test_what_was_used_last_stays() -> None:
    cache: Lru[str, bytes] = Lru(10, len)
    cache.put("a", b"1234")
    cache.put("b", b"1234")
    assert cache.get("a") == b"1234"
    cache.put("c", b"1234")
    assert cache.get("b") is None
    assert cache.get("a") == cache.get("c") == b"1234"


def test_a_value_put_again_is_counted_once() -> None:
    cache: Lru[str, bytes] = Lru(10, len)
    for _ in range(10):
        cache.put("a", b"12345")
    cache.put("b", b"12345")
    assert len(cache) == 2


def test_one_too_big_is_kept_alone() -> None:
    cache: Lru[str, bytes] = Lru(10, len)
    cache.put("a", b"1")
    assert cache.put("b", bytes(50)) == bytes(50)
    assert cache.get("a") is None
    assert cache.get("b") == bytes(50)
