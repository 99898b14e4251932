import sys

import redis

here, there = (redis.Redis(port=int(port), decode_responses=True) for port in sys.argv[1:])
pubsub = here.pubsub(ignore_subscribe_messages=True)
pubsub.subscribe("news", **{"other": lambda message: None})
pubsub.psubscribe("n*")


def heard():
    for _ in range(200):
        message = pubsub.get_message(timeout=0.1)
        if message:
            return message["type"], message["pattern"], message["channel"], message["data"]


# What is said before the nodes are connected is lost.
while True:
    there.publish("number", "first")
    message = pubsub.get_message(timeout=0.1)
    if message and message["data"] == "first":
        break
there.publish("number", "go")
while heard()[3] != "go":
    pass
assert there.publish("news", "hello") == 0
assert heard() == ("message", None, "news", "hello")
assert heard() == ("pmessage", "n*", "news", "hello")
assert here.publish("news", "again") == 2
assert heard() == ("message", None, "news", "again")
assert heard() == ("pmessage", "n*", "news", "again")
assert here.pubsub_channels() == ["news", "other"] and there.pubsub_channels() == []
assert here.pubsub_numsub("news", "x") == [("news", 1), ("x", 0)]
assert here.pubsub_numpat() == 1
with there.pipeline() as pipe:
    pipe.set("k", "v")
    pipe.publish("news", "within")
    assert pipe.execute() == [True, 0]
assert heard() == ("message", None, "news", "within")
pubsub.punsubscribe()
pubsub.unsubscribe()
while pubsub.subscribed:
    pubsub.get_message(timeout=0.1)
assert here.pubsub_channels() == []
print("done")
