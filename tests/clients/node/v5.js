// MQTT 5 seen through mqtt.js. `node v5.js PORT SCENE` prints one line for each thing that the scene sees.
'use strict'

const { once } = require('node:events')
const mqtt = require('mqtt')

const [port, scene] = process.argv.slice(2)

/** Connects, without reconnecting later, and gives the client; its CONNACK is in `client.connack`. */
async function connect (options = {}) {
  const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, { protocolVersion: 5, reconnectPeriod: 0, ...options })
  const [connack] = await once(client, 'connect')
  client.connack = connack
  client.inbox = []
  client.on('message', (topic, payload, packet) => {
    client.inbox.push({ ...packet, topic })
    client.emit('inbox')
  })
  return client
}

/** Waits for so many messages and gives them. */
async function received (client, count) {
  while (client.inbox.length < count) await once(client, 'inbox')
  return client.inbox.splice(0, count)
}

function text (packet) {
  return `${packet.topic} ${packet.payload} qos ${packet.qos} retain ${packet.retain}`
}

function print (...values) {
  console.log(values.map((value) => (typeof value === 'string' ? value : JSON.stringify(value))).join(' '))
}

const scenes = {
  async properties () {
    const client = await connect()
    await client.subscribeAsync('news', { qos: 2 })
    await client.publishAsync('news', 'hello', {
      qos: 2,
      properties: {
        payloadFormatIndicator: true,
        contentType: 'text/plain',
        responseTopic: 'answers/1',
        correlationData: Buffer.from('00ff10', 'hex'),
        userProperties: { zebra: ['1', '2'], ant: 'é' }
      }
    })
    const [{ properties }] = await received(client, 1)
    properties.correlationData = properties.correlationData.toString('hex')
    for (const name of Object.keys(properties).sort()) print(name, properties[name])
    await client.endAsync()
  },

  async 'subscription identifiers' () {
    const client = await connect()
    await client.subscribeAsync('home/+', { qos: 1, properties: { subscriptionIdentifier: 1 } })
    await client.subscribeAsync('home/#', { qos: 0, properties: { subscriptionIdentifier: 268435455 } })
    await client.subscribeAsync('home/kitchen', { qos: 2 })
    await client.publishAsync('home/kitchen', 'x', { qos: 2 })
    const packets = await received(client, 3)
    for (const packet of packets.sort((a, b) => a.qos - b.qos)) {
      print(packet.qos, packet.properties?.subscriptionIdentifier ?? 'none')
    }
    await client.endAsync()
  },

  async 'topic aliases to the broker' () {
    const subscriber = await connect()
    await subscriber.subscribeAsync('a/rather/long/+', { qos: 1 })
    const publisher = await connect({ autoAssignTopicAlias: true })
    publisher.on('packetsend', (packet) => {
      if (packet.cmd === 'publish') print('sent', packet.topic, packet.properties.topicAlias)
    })
    for (const name of ['one', 'two', 'one', 'two']) {
      await publisher.publishAsync(`a/rather/long/${name}`, name, { qos: 1 })
    }
    for (const packet of await received(subscriber, 4)) print(packet.topic, packet.payload.toString())
    await publisher.endAsync()
    await subscriber.endAsync()
  },

  async 'topic aliases from the broker' () {
    const subscriber = await connect({ properties: { topicAliasMaximum: 1 } })
    subscriber.on('packetreceive', (packet) => {
      if (packet.cmd === 'publish') print('on the wire', packet.topic, packet.properties?.topicAlias ?? 'none')
    })
    await subscriber.subscribeAsync('+')
    for (const topic of ['one', 'two', 'one', 'two']) await subscriber.publishAsync(topic, 'x', { qos: 1 })
    for (const packet of await received(subscriber, 4)) print(packet.topic)
    await subscriber.endAsync()
  },

  async 'no local' () {
    const [client, other] = [await connect(), await connect()]
    await client.subscribeAsync('news', { qos: 1, nl: true })
    await client.publishAsync('news', 'mine', { qos: 1 })
    await other.publishAsync('news', 'yours', { qos: 1 })
    print(text((await received(client, 1))[0]))
    await client.endAsync()
    await other.endAsync()
  },

  async 'retain as published' () {
    const client = await connect()
    await client.subscribeAsync('plain/#', { qos: 1 })
    await client.subscribeAsync('same/#', { qos: 1, rap: true })
    for (const topic of ['plain/a', 'same/a']) {
      for (const retain of [true, false]) await client.publishAsync(topic, 'x', { qos: 1, retain })
    }
    for (const packet of await received(client, 4)) print(text(packet))
    await client.endAsync()
  },

  async 'retain handling' () {
    const client = await connect()
    await client.publishAsync('news', 'retained', { qos: 1, retain: true })
    for (const rh of [2, 0, 0, 1, 2]) {
      await client.subscribeAsync('news', { qos: 1, rh })
      await client.publishAsync('news', `after ${rh}`, { qos: 1 })
      await until(client, `after ${rh}`)
    }
    await client.unsubscribeAsync('news')
    await client.subscribeAsync('news', { qos: 1, rh: 1 })
    await client.publishAsync('news', 'after the first with 1', { qos: 1 })
    await until(client, 'after the first with 1')
    await client.endAsync()

    async function until (client, last) {
      for (;;) {
        const [packet] = await received(client, 1)
        print(packet.payload.toString())
        if (packet.payload.toString() === last) return
      }
    }
  },

  async 'session expiry' () {
    const keep = { clientId: 'sleeper', clean: false, properties: { sessionExpiryInterval: 1000 } }
    for (const end of [{}, {}, { properties: { sessionExpiryInterval: 0 } }, {}]) {
      const client = await connect(keep)
      print('session present', client.connack.sessionPresent)
      await client.endAsync(false, end)
    }
    const client = await connect({ ...keep, clean: true })
    print('session present', client.connack.sessionPresent)
    await client.endAsync()
  },

  async 'is there a session' () {
    const client = await connect({ clientId: process.argv[4], clean: false })
    print('session present', client.connack.sessionPresent)
    await client.endAsync()
  },

  async 'reason codes' () {
    const client = await connect()
    client.on('packetreceive', (packet) => {
      const codes = packet.granted ?? packet.reasonCode
      if (/ack|rec|comp/.test(packet.cmd)) print(packet.cmd, codes)
    })
    await client.publishAsync('nobody/listens', 'x', { qos: 1 })
    await client.publishAsync('nobody/listens', 'x', { qos: 2 })
    await client.subscribeAsync({ a: { qos: 0 }, b: { qos: 1 }, c: { qos: 2 } })
    await client.unsubscribeAsync(['a', 'never'])
    await client.publishAsync('b', 'x', { qos: 1 })
    await client.endAsync()
  },

  async 'take-over' () {
    const first = await connect({ clientId: 'twin' })
    first.on('disconnect', (packet) => print('disconnected with', packet.reasonCode))
    first.on('close', () => print('closed'))
    const closed = once(first, 'close')
    const second = await connect({ clientId: 'twin' })
    await closed
    await second.endAsync()
  },

  async 'will' () {
    const watcher = await connect()
    await watcher.subscribeAsync('will', { qos: 1 })
    const client = await connect({
      will: {
        topic: 'will',
        payload: 'gone',
        qos: 1,
        properties: { contentType: 'text/plain', userProperties: { why: 'asked' }, messageExpiryInterval: 500 }
      }
    })
    await client.endAsync(false, { reasonCode: 4 })
    const [packet] = await received(watcher, 1)
    print(text(packet))
    print(packet.properties.contentType, packet.properties.userProperties)
    await watcher.endAsync()
  },

  async 'message expiry' () {
    const client = await connect()
    const retain = { qos: 1, retain: true }
    await client.publishAsync('long', 'x', { ...retain, properties: { messageExpiryInterval: 60 } })
    await client.publishAsync('short', 'x', { ...retain, properties: { messageExpiryInterval: 1 } })
    await client.publishAsync('sentinel', 'x', retain)
    const seen = new Set()
    for (let short = true, left = 60; short || left === 60;) {
      short = false
      await client.subscribeAsync('long')
      await client.subscribeAsync('short')
      await client.subscribeAsync('sentinel')
      for (let topic; topic !== 'sentinel';) {
        const [packet] = await received(client, 1)
        topic = packet.topic
        short ||= topic === 'short'
        if (topic === 'long') left = packet.properties.messageExpiryInterval
        seen.add(topic)
      }
      if (left > 60 || left < 1) throw new Error(`${left} seconds are left of 60`)
    }
    print('expired', [...seen].includes('long'))
    await client.endAsync()
  },

  async 'maximum packet size' () {
    const client = await connect({ properties: { maximumPacketSize: 100 } })
    await client.subscribeAsync('news', { qos: 1 })
    const publisher = await connect()
    await publisher.publishAsync('news', 'x'.repeat(200), { qos: 1 })
    await publisher.publishAsync('news', 'small', { qos: 1 })
    print(text((await received(client, 1))[0]))
    await publisher.endAsync()
    await client.endAsync()
  },

  async 'assigned client identifier' () {
    const client = await connect({ clientId: '' })
    print('assigned', client.connack.properties.assignedClientIdentifier.length > 0)
    await client.endAsync()
  }
}

scenes[scene]()
