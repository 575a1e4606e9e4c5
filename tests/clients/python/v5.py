"""MQTT 5 seen through aiomqtt. `python v5.py PORT SCENE` prints one line for each thing that the scene sees."""

import asyncio
import sys

import aiomqtt
from aiomqtt import ProtocolVersion, Will
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.reasoncodes import ReasonCode
from paho.mqtt.subscribeoptions import SubscribeOptions

port, scene = int(sys.argv[1]), sys.argv[2]


def client(identifier, **options):
    return aiomqtt.Client("127.0.0.1", port, identifier=identifier, protocol=ProtocolVersion.V5, **options)


def properties(packet_type, **values):
    result = Properties(packet_type)
    for name, value in values.items():
        setattr(result, name, value)
    return result


async def received(client, count=1):
    messages = []
    async for message in client.messages:
        messages.append(message)
        if len(messages) == count:
            return messages


async def user_properties():
    """Repeated names, and names between them, keep their order."""
    pairs = [("b", "1"), ("a", "2"), ("b", "3"), ("", ""), ("a", "2")]
    async with client("me") as me:
        await me.subscribe("news", qos=2)
        for qos in (0, 1, 2):
            given = properties(PacketTypes.PUBLISH, UserProperty=pairs)
            await me.publish("news", "x", qos=qos, properties=given)
            [message] = await received(me)
            print(message.qos, message.properties.UserProperty == pairs)


async def request_and_response():
    async with client("server") as server, client("asking") as asking:
        await server.subscribe("add", qos=1)
        await asking.subscribe("answers/asking", qos=1)

        async def serve():
            for request in await received(server, 2):
                answer = properties(PacketTypes.PUBLISH, CorrelationData=request.properties.CorrelationData)
                total = sum(int(number) for number in request.payload.decode().split("+"))
                await server.publish(request.properties.ResponseTopic, str(total), qos=1, properties=answer)

        serving = asyncio.create_task(serve())
        for identifier, question in ((b"\x00one", "1+2"), (b"\xfftwo", "3+4")):
            asked = properties(
                PacketTypes.PUBLISH, ResponseTopic="answers/asking", CorrelationData=identifier
            )
            await asking.publish("add", question, qos=1, properties=asked)
        for answer in await received(asking, 2):
            print(answer.properties.CorrelationData, answer.payload.decode())
        await serving


async def message_expiry():
    """A message that waited in a session's queue has less time left."""
    kept = properties(PacketTypes.CONNECT, SessionExpiryInterval=600)
    async with client("publisher") as publisher:
        await publisher.subscribe("gone", qos=1)
        try:
            async with client("sleeper", properties=kept, clean_start=True, will=Will("gone", "x", qos=1)) as sleeper:
                await sleeper.subscribe("news", qos=1)
                sleeper._client.disconnect(ReasonCode(PacketTypes.DISCONNECT, identifier=4))
                await received(sleeper)
        except aiomqtt.MqttError:
            pass
        # Its Will tells that the broker knows: before that, what is published would be on its way, not in a queue.
        await received(publisher)
        for payload, seconds in (("long", 100), ("short", 1)):
            expiry = properties(PacketTypes.PUBLISH, MessageExpiryInterval=seconds)
            await publisher.publish("news", payload, qos=1, properties=expiry)
        # A retained message of the same age tells when the time has passed.
        expiry = properties(PacketTypes.PUBLISH, MessageExpiryInterval=2)
        await publisher.publish("clock", "x", qos=1, retain=True, properties=expiry)
        while await still_there(publisher, "clock"):
            pass
        await publisher.publish("news", "end", qos=1)
    async with client("sleeper", properties=kept, clean_start=False) as sleeper:
        messages = await received(sleeper, 2)
        print([message.payload.decode() for message in messages])
        print(1 <= messages[0].properties.MessageExpiryInterval < 100)


async def still_there(client, topic):
    await client.subscribe(topic)
    await client.subscribe("sentinel")
    await client.publish("sentinel", "x")
    found = False
    while (await received(client))[0].topic.value != "sentinel":
        found = True
    return found


async def take_over():
    async with client("other") as other:
        await other.subscribe("wills", qos=1)
        will = Will("wills", "taken over", qos=1)
        try:
            async with client("twin", will=will) as first:
                async with client("twin"):
                    await received(first)
        except aiomqtt.MqttError as error:
            print(error)
        [message] = await received(other)
        print(message.payload.decode())


NEVER = SubscribeOptions.RETAIN_DO_NOT_SEND


async def subscription_options():
    async with client("publisher") as publisher, client("me") as me:
        await publisher.publish("news", "retained", qos=1, retain=True)
        options = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True, retainHandling=NEVER)
        await me.subscribe("news", options=options)
        await print_what_comes(me, publisher)


async def replaced_subscription_options():
    async with client("publisher") as publisher, client("me") as me:
        await me.subscribe("news", options=SubscribeOptions(qos=2))
        options = SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True)
        await me.subscribe("news", options=options)
        await print_what_comes(me, publisher)


async def print_what_comes(me, publisher):
    await me.publish("news", "mine", qos=1)
    await publisher.publish("news", "yours", qos=1, retain=True)
    [message] = await received(me)
    print(message.payload.decode(), message.retain)


async def subscription_identifiers():
    async with client("me") as me:
        for number, topic in ((7, "home/#"), (300, "home/+")):
            identifier = properties(PacketTypes.SUBSCRIBE, SubscriptionIdentifier=number)
            await me.subscribe(topic, qos=1, properties=identifier)
        await me.publish("home/kitchen", "x", qos=1)
        print(sorted(message.properties.SubscriptionIdentifier for message in await received(me, 2)))


asyncio.run(globals()[scene]())
