"""paho-mqtt receives, and writes into a file what was granted and what came, a line each.

python subscriber.py PORT VERSION NAME FILTER QOS FILE   goes on until standard input ends
"""

import os
import sys

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

port, version, name, topics, qos = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], sys.argv[4], int(sys.argv[5])
book = os.open(sys.argv[6], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
options = {"client_id": name, "protocol": version}
connecting = {}
if version == mqtt.MQTTv5:
    connecting["clean_start"] = False
    connecting["properties"] = Properties(PacketTypes.CONNECT)
    connecting["properties"].SessionExpiryInterval = 86400
else:
    options["clean_session"] = False
client = mqtt.Client(mqtt.CallbackAPIVersion.VERSION2, **options)
client.reconnect_delay_set(0.02, 0.1)
granted = False


def on_connect(client, userdata, flags, reason, properties):
    if not granted:
        client.subscribe(topics, qos)
    elif not flags.session_present:
        os.write(book, b"forgotten\n")


def on_subscribe(client, userdata, mid, reasons, properties):
    global granted
    granted = True
    os.write(book, b"granted\n")


def on_message(client, userdata, message):
    os.write(book, f"got {message.qos} {message.topic} ".encode() + message.payload + b"\n")


client.on_connect, client.on_subscribe, client.on_message = on_connect, on_subscribe, on_message
client.connect_async("127.0.0.1", port, **connecting)
client.loop_start()
sys.stdin.read()
client.disconnect()
client.loop_stop()
