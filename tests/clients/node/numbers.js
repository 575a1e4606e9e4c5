// A client that is cut off and returns to its session.
//
// node numbers.js PORT VERSION publish QOS LAST     publishes 1..LAST to "numbers"
// node numbers.js PORT VERSION subscribe QOS LAST   prints what comes, up to LAST
'use strict'

const { once } = require('node:events')
const mqtt = require('mqtt')

const [port, version, role] = process.argv.slice(2)
const [qos, last] = process.argv.slice(5).map(Number)

async function main () {
  const protocolVersion = Number(version)
  const properties = protocolVersion === 5 ? { sessionExpiryInterval: 3600 } : undefined
  const session = { clientId: role, clean: false, reconnectPeriod: 50, protocolVersion, properties }
  const client = mqtt.connect(`mqtt://127.0.0.1:${port}`, session)
  client.on('message', (_topic, payload) => {
    console.log(payload.toString())
    if (Number(payload) === last) client.end()
  })
  await once(client, 'connect')
  if (role === 'publish') {
    const numbers = Array.from({ length: last }, (_, index) => `${index + 1}`)
    await Promise.all(numbers.map((number) => client.publishAsync('numbers', number, { qos })))
    console.log('published', last)
    await client.endAsync()
  } else {
    await client.subscribeAsync('numbers', { qos })
    console.log('subscribed')
  }
}

main()
