"""paho-mqtt 1.6.1 and 2: a message to itself at each QoS. `python roundtrip.py PORT VERSION [USER PASSWORD]`."""

import queue
import sys

import paho.mqtt.client as mqtt

port, version = int(sys.argv[1]), int(sys.argv[2])
received = queue.Queue()
subscribed = queue.Queue()

if hasattr(mqtt, "CallbackAPIVersion"):
    client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, client_id="paho", protocol=version)
else:
    client = mqtt.Client("paho", protocol=version)
client.on_subscribe = lambda *arguments: subscribed.put(arguments)
client.on_message = lambda client, userdata, message: received.put(message)

if len(sys.argv) > 3:
    client.username_pw_set(sys.argv[3], sys.argv[4])
client.connect("127.0.0.1", port)
client.loop_start()
client.subscribe([("paho/0", 0), ("paho/1", 1), ("paho/2", 2)])
subscribed.get(timeout=30)
for qos in (0, 1, 2):
    client.publish(f"paho/{qos}", f"at {qos}", qos).wait_for_publish()
    message = received.get(timeout=30)
    print(message.topic, message.payload.decode(), "qos", message.qos)
client.disconnect()
client.loop_stop()
