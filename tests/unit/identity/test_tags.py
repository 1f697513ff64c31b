"""Which remembered credentials a change concerns."""

from gateway.identity.tags import TagIndex


def test_a_tag_gives_each_of_its_keys_once_and_none_afterwards() -> None:
    """ID4: whatever was made from what changed is found, and nothing else."""
    index = TagIndex()
    index.add(("tenant 1", "api_key a"), b"a")
    index.add(("tenant 1", "api_key b"), b"b")
    index.add(("tenant 2",), b"c")
    assert set(index.take("tenant 1")) == {b"a", b"b"}
    assert list(index.take("tenant 1")) == []
    assert list(index.take("tenant 2")) == [b"c"]


def test_removing_every_key_leaves_nothing_behind() -> None:
    """The index is as bounded as the memory that it belongs to."""
    index = TagIndex()
    for key in (b"a", b"b", b"c"):
        index.add(("tenant 1", "plan x"), key)
        index.add(("tenant 1",), key)
    for key in (b"b", b"a", b"c", b"never"):
        index.remove(("tenant 1", "plan x"), key)
    assert len(index) == 0


def test_removing_one_key_leaves_the_others_of_its_tag() -> None:
    """A forgotten credential does not hide others of its tenant from a change."""
    index = TagIndex()
    index.add(("tenant 1",), b"a")
    index.remove(("tenant 1",), b"b")
    index.add(("tenant 1",), b"b")
    index.remove(("tenant 1",), b"a")
    assert list(index.take("tenant 1")) == [b"b"]
