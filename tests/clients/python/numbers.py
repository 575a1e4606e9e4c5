"""A client that is cut off and returns to its session.

python numbers.py PORT VERSION publish QOS LAST    publishes 1..LAST to "numbers"
python numbers.py PORT VERSION subscribe QOS LAST  prints what comes, up to LAST
"""

import queue
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

port, version = int(sys.argv[1]), int(sys.argv[2])
role, qos, last = sys.argv[3], int(sys.argv[4]), int(sys.argv[5])

received = queue.Queue()
subscribed = queue.Queue()
options = {"client_id": role, "protocol": version}
connecting = {}
if version == mqtt.MQTTv5:
    connecting["clean_start"] = False
    connecting["properties"] = Properties(PacketTypes.CONNECT)
    connecting["properties"].SessionExpiryInterval = 3600
else:
    options["clean_session"] = False
if hasattr(mqtt, "CallbackAPIVersion"):
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, **options)
else:
    client = mqtt.Client(**options)
client.reconnect_delay_set(0.05, 0.1)
client.max_queued_messages_set(0)
client.on_subscribe = lambda *arguments: subscribed.put(arguments)
client.on_message = lambda client, userdata, message: received.put(int(message.payload))
client.connect("127.0.0.1", port, **connecting)
client.loop_start()

if role == "publish":
    for message in [client.publish("numbers", str(number), qos) for number in range(1, last + 1)]:
        message.wait_for_publish()
    print("published", last)
else:
    client.subscribe("numbers", qos)
    subscribed.get()
    print("subscribed")
    number = 0
    while number < last:
        number = received.get()
        print(number)
client.disconnect()
client.loop_stop()
