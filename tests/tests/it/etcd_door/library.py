import hashlib
import io
import queue
import sys
import threading

import etcd3

c = etcd3.client(port=int(sys.argv[1]), timeout=20)

# Keys, prefixes and what was before.
assert c.get("city") == (None, None)
c.put("city", "Oslo")
value, about = c.get("city")
assert value == b"Oslo" and about.version == 1 and about.key == b"city"
assert c.put("city", "Bergen", prev_kv=True).prev_kv.value == b"Oslo"
for number in range(300):
    c.put(f"key/{number:03}", str(number))
found = [(about.key, value) for value, about in c.get_prefix("key/", sort_order="descend")]
assert found == [(b"key/%03d" % n, b"%d" % n) for n in reversed(range(300))]
assert [about.key for _, about in c.get_range("key/010", "key/012")] == [b"key/010", b"key/011"]
assert sum(1 for _ in c.get_prefix("key/", keys_only=True)) == 300
assert c.delete_prefix("key/").deleted == 300
assert not c.delete("nothing") and c.delete("city")
assert c.put_if_not_exists("city", "Oslo") and not c.put_if_not_exists("city", "Bergen")
assert c.replace("city", "Oslo", "Bergen") and not c.replace("city", "Oslo", "Bergen")

# Transactions.
t = c.transactions
done, answers = c.transaction(
    compare=[t.value("city") == "Bergen", t.version("none") == 0, t.mod("city") > 0],
    success=[t.put("a", "1"), t.get("a"), t.delete("city")],
    failure=[t.put("a", "2")],
)
assert done and answers[1][0][0] == b"1" and c.get("city") == (None, None)
done, _ = c.transaction(compare=[t.value("a") > "5"], success=[], failure=[t.put("a", "3")])
assert not done and c.get("a")[0] == b"3"

# Leases.
lease = c.lease(60)
c.put("guest", "Ada", lease=lease)
assert 55 < lease.remaining_ttl <= 60 and lease.granted_ttl == 60 and lease.keys == [b"guest"]
assert lease.refresh()[0].TTL == 60
lease.revoke()
assert c.get("guest") == (None, None)
try:
    c.put("guest", "Ada", lease=lease)
    raise AssertionError("the lease has ended")
except Exception as error:
    assert "requested lease not found" in str(error), error

# Watches: with a callback, as a row of events, from the past, and until the first.
told = queue.Queue()
watch = c.add_watch_prefix_callback("w/", told.put)
c.put("w/1", "one")
c.delete("w/1")
seen = []
while len(seen) < 2:
    seen.extend(told.get(timeout=20).events)
assert [type(event).__name__ for event in seen] == ["PutEvent", "DeleteEvent"]
assert seen[0].key == b"w/1" and seen[0].value == b"one"
c.cancel_watch(watch)
first = seen[0].mod_revision
events, cancel = c.watch_prefix("w/", start_revision=first)
again = [next(events), next(events)]
assert [event.mod_revision for event in again] == [event.mod_revision for event in seen]
cancel()
threading.Timer(0.2, lambda: etcd3.client(port=int(sys.argv[1])).put("once", "now")).start()
assert c.watch_once("once", timeout=20).value == b"now"
c.compact(first + 1)
events, cancel = c.watch_prefix("w/", start_revision=first)
try:
    next(events)
    raise AssertionError("the revision was compacted")
except etcd3.exceptions.RevisionCompactedError as error:
    assert error.compacted_revision == first + 1, error.compacted_revision

# Locks: one after the other, since Debian's library cannot wait with Debian's tenacity.
other = etcd3.client(port=int(sys.argv[1]))
mine, theirs = c.lock("printer", ttl=30), other.lock("printer", ttl=30)
assert mine.acquire() and mine.is_acquired() and not theirs.is_acquired()
assert not theirs.release() and mine.release()
assert theirs.acquire() and theirs.is_acquired() and not mine.is_acquired()
with other.lock("other", ttl=30) as held:
    assert held.is_acquired()
assert theirs.release()

# Members and the state of the one that answers.
members = list(c.members)
assert [member.name for member in members] == ["node-1"], members
assert members[0].client_urls == [f"http://127.0.0.1:{sys.argv[1]}"]
status = c.status()
assert status.version == "3.6.0" and status.leader.id == members[0].id and 0 < status.db_size
assert list(c.list_alarms()) == []
assert isinstance(c.hash(), int) and c.defragment() is None
kept = io.BytesIO()
c.snapshot(kept)
data = kept.getvalue()
assert data[4:8] == b"KVSN" and len(data) % 512 == 32
assert hashlib.sha256(data[:-32]).digest() == data[-32:]
print("done")
