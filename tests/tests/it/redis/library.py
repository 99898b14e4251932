import sys

import redis

r = redis.Redis(port=int(sys.argv[1]), decode_responses=True)
assert r.ping()
assert r.set("k", "v", ex=100) and r.get("k") == "v"
assert 95 < r.ttl("k") <= 100
assert r.set("k", "w", nx=True) is None
assert r.hset("h", mapping={"a": "1", "b": "2"}) == 2
assert r.hgetall("h") == {"a": "1", "b": "2"}
assert r.sadd("s", "x", "y") == 2 and r.smembers("s") == {"x", "y"}
assert r.incrbyfloat("f", 0.5) == 0.5

# Everything is sent before anything is read.
pipe = r.pipeline(transaction=False)
for number in range(20000):
    pipe.set(f"key:{number}", number)
assert all(pipe.execute())
assert sorted(r.scan_iter("key:*", count=1000)) == sorted(f"key:{n}" for n in range(20000))
pipe = r.pipeline(transaction=False)
for number in range(20000):
    pipe.get(f"key:{number}")
assert pipe.execute() == [str(number) for number in range(20000)]


def double(pipe):
    value = int(pipe.get("n") or 1)
    pipe.multi()
    pipe.set("n", 2 * value)
    pipe.get("n")


assert r.transaction(double, "n") == [True, "2"]
other = redis.Redis(port=int(sys.argv[1]))
with r.pipeline() as pipe:
    pipe.watch("n")
    other.set("n", 7)
    pipe.multi()
    pipe.set("n", 8)
    try:
        pipe.execute()
        raise AssertionError("what was watched has changed")
    except redis.WatchError:
        pass
assert r.get("n") == "7"

try:
    r.hget("k", "a")
    raise AssertionError("the key is no hash")
except redis.ResponseError as error:
    assert str(error).startswith("WRONGTYPE"), error
assert r.flushdb() and r.dbsize() == 0
print("done")
