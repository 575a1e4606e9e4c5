"""paho-mqtt publishes, and writes into a file what it began and what was acknowledged, a line each.

python publisher.py PORT VERSION NAME NUMBER FILE   reads from standard input how many messages it is to publish next
"""

import os
import queue
import sys
import threading

import paho.mqtt.client as mqtt
from paho.mqtt.client import mqtt_ms_resend_pubrel as RESEND_PUBREL
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

port, version, name, number = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3], int(sys.argv[4])
book = os.open(sys.argv[5], os.O_WRONLY | os.O_CREAT | os.O_APPEND)
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
client.max_queued_messages_set(0)
lock = threading.Lock()
answers = queue.SimpleQueue()
sequences = {}
sequence = 0


def on_publish(client, userdata, mid, reason, properties):
    # paho holds locks of its own here that publish() wants: nothing may be waited for.
    answers.put((mid, "refused" if reason.is_failure else "acknowledged"))


def write_answers():
    while True:
        mid, word = answers.get()
        with lock:
            sequence = sequences.pop(mid)
        os.write(book, f"{word} {sequence}\n".encode())


def reset_without_forgetting_pubrel():
    """paho 2.1 takes a message whose PUBREL is to be repeated for one that was never sent if it must connect twice for one
    CONNACK, and publishes it anew, against [MQTT-4.3.3-6]: a broker that has ended the exchange must deliver that again."""
    released = [message for message in client._out_messages.values() if message.state == RESEND_PUBREL]
    forgetful_reset()
    for message in released:
        message.state = RESEND_PUBREL


forgetful_reset = client._messages_reconnect_reset_out
client._messages_reconnect_reset_out = reset_without_forgetting_pubrel
client.on_publish = on_publish
threading.Thread(target=write_answers, daemon=True).start()
client.connect_async("127.0.0.1", port, **connecting)
client.loop_start()
for line in sys.stdin:
    for _ in range(int(line)):
        qos = 1 + sequence % 2
        topic = f"l/{number}/{sequence % 3}"
        payload = bytearray(f"{number} {sequence} ".encode())
        for position in range(len(payload), 60):
            payload.append(ord("a") + (sequence + position) % 26)
        os.write(book, f"began {sequence} {qos} {topic}\n".encode())
        with lock:
            sequences[client.publish(topic, bytes(payload), qos).mid] = sequence
        sequence += 1
client.disconnect()
client.loop_stop()
