// SPDX-License-Identifier: Apache-2.0
// provider.mjs CERTIFICATE KEY CLIENT: a certified OpenID provider (npm's oidc-provider) on loopback. CLIENT is its one client as JSON. Prints
// "issuer URL"; ends with its input. Whoever comes with a name is let in as that person; the group is "ops".
import { readFileSync } from 'node:fs'
import { createServer } from 'node:https'
import Provider from 'oidc-provider'

const [cert, key, client] = process.argv.slice(2)
const server = createServer({ cert: readFileSync(cert), key: readFileSync(key) })
await new Promise((resolve) => server.listen(0, '127.0.0.1', resolve))
const issuer = `https://127.0.0.1:${server.address().port}`
const provider = new Provider(issuer, {
  clients: [JSON.parse(client)],
  claims: { openid: ['sub'], profile: ['preferred_username', 'name', 'groups'], email: ['email'] },
  findAccount: (_, id) => ({ accountId: id, claims: () => ({ sub: id, preferred_username: id, name: `${id} of the real provider`, groups: ['ops'] }) }),
  pkce: { required: () => true },
})
server.on('request', provider.callback())
process.stdin.resume().on('end', () => process.exit(0))
console.log(`issuer ${issuer}`)
