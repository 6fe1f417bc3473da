// An endpoint of the npm package @number0/iroh for tests. It binds 127.0.0.1, and has no relay and no address lookup.
//
//   node peer.mjs get ID IP:PORT REQUEST OUT   send request bytes (hex), write what comes back to a file
//   node peer.mjs serve SOCKET                 hand every request to a Unix socket, and what that answers to the requester,
//                                              until stdin is closed
//
// The package has no blobs protocol, only connections and streams, so requests are bytes here. It prints one JSON object a
// line on stdout; an error is {"error": text} with exit status 1.

import { writeFile } from 'node:fs/promises'
import { connect } from 'node:net'
import { Endpoint, EndpointAddr, EndpointId, RelayMode, presetMinimal } from '@number0/iroh'

const ALPN = Array.from(Buffer.from('/iroh-bytes/4'))
const LIMIT = 64 << 20

const print = (value) => console.log(JSON.stringify(value))

async function bind() {
  const builder = Endpoint.builder()
  presetMinimal(builder) // nothing but cryptography: no relays, no lookups
  builder.relayMode(RelayMode.disabled())
  builder.bindAddr('127.0.0.1:0')
  builder.alpns([ALPN])
  return builder.bind()
}

async function get(id, addr, request, out) {
  const endpoint = await bind()
  const connection = await endpoint.connect(new EndpointAddr(EndpointId.fromString(id), null, [addr]), ALPN)
  const stream = await connection.openBi()
  await stream.send.writeAll(Array.from(Buffer.from(request, 'hex')))
  await stream.send.finish()
  const body = Buffer.from(await stream.recv.readToEnd(LIMIT))
  await writeFile(out, body)
  print({ len: body.length, remoteId: connection.remoteId().toString() })
  connection.close(0n, Array.from(Buffer.from('done')))
  await endpoint.close()
}

async function serve(socket) {
  const endpoint = await bind()
  print({ event: 'ready', endpointId: endpoint.id().toString(), addrs: [endpoint.boundSockets()[0]] })
  accept(endpoint, socket)
  for await (const _ of process.stdin);
  await endpoint.close()
}

async function accept(endpoint, socket) {
  for (let incoming; (incoming = await endpoint.acceptNext()); ) {
    const connection = await (await incoming.accept()).connect()
    streams(connection, socket).catch(() => {}) // it ends with the connection
  }
}

async function streams(connection, socket) {
  for (;;) answer(await connection.acceptBi(), socket).catch((error) => print({ stream: String(error) }))
}

async function answer(stream, socket) {
  const request = Buffer.from(await stream.recv.readToEnd(LIMIT))
  const local = connect(socket)
  local.end(request)
  const parts = []
  for await (const part of local) parts.push(part)
  await stream.send.writeAll(Array.from(Buffer.concat(parts)))
  await stream.send.finish()
}

const commands = { get, serve }
const [command, ...args] = process.argv.slice(2)
try {
  await commands[command](...args)
  process.exit(0)
} catch (error) {
  print({ error: String(error) })
  process.exit(1)
}
