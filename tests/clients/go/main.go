// Paho's Go client as the end-to-end tests use it. Prints one line for each thing it sees.
//
//	go-client roundtrip PORT       a message to itself at each QoS
//	go-client subscribe PORT QOS   a persistent session on "numbers"; prints what comes, until it is killed
package main

import (
	"fmt"
	"os"
	"strconv"

	mqtt "github.com/eclipse/paho.mqtt.golang"
)

func main() {
	command, port := os.Args[1], os.Args[2]
	switch command {
	case "roundtrip":
		roundtrip(port)
	case "subscribe":
		qos, err := strconv.Atoi(os.Args[3])
		if err != nil {
			panic(err)
		}
		subscribe(port, byte(qos))
	default:
		panic("no such command: " + command)
	}
}

func connect(port string, id string, handler mqtt.MessageHandler) mqtt.Client {
	client := mqtt.NewClient(mqtt.NewClientOptions().
		AddBroker("tcp://127.0.0.1:" + port).
		SetClientID(id).
		SetCleanSession(false).
		SetDefaultPublishHandler(handler))
	done(client.Connect())
	return client
}

func done(token mqtt.Token) {
	if token.Wait() && token.Error() != nil {
		panic(token.Error())
	}
}

func roundtrip(port string) {
	received := make(chan string, 8)
	handler := func(_ mqtt.Client, message mqtt.Message) {
		received <- fmt.Sprintf("%s qos %d: %s", message.Topic(), message.Qos(), message.Payload())
	}
	client := connect(port, "go-roundtrip", handler)
	done(client.Subscribe("go/+", 2, handler))
	for qos := byte(0); qos <= 2; qos++ {
		done(client.Publish(fmt.Sprintf("go/%d", qos), qos, false, fmt.Sprintf("at %d", qos)))
		fmt.Println(<-received)
	}
	client.Disconnect(250)
}

func subscribe(port string, qos byte) {
	handler := func(_ mqtt.Client, message mqtt.Message) { fmt.Println(string(message.Payload())) }
	client := connect(port, "go-subscriber", handler)
	done(client.Subscribe("numbers", qos, handler))
	fmt.Println("subscribed")
	select {}
}
