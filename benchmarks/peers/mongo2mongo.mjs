// The npm package mongo2mongo follows a change stream until it has applied so many events.
//
//   node mongo2mongo.mjs MODULES SOURCE DATABASE DESTINATION DATABASE COLLECTION EVENTS TOKEN
//
// MODULES is a folder with node_modules:
//
//   npm install mongochangestream@0.55 mongodb@6 p-retry@7 eventemitter3@5
//   npm pack mongo2mongo@0.40.0, unpacked as node_modules/mongo2mongo
//
// (mongo2mongo's own dependencies name versions that cannot be had). The package keeps its resume
// token in Redis; here a Map stands for it, which is kinder to it than a server would be. Prints
// one line of JSON: seconds of the clock and of the processor, from the first event asked for to
// the last one applied, and the peak of memory in bytes.
import { createRequire } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const [modules, sourceUri, from, destinationUri, to, collection, wanted, token] =
  process.argv.slice(2)
const require = createRequire(path.join(path.resolve(modules), 'node_modules', 'x.js'))
const { MongoClient } = require('mongodb')
const mongo2mongo = await import(
  pathToFileURL(path.join(path.resolve(modules), 'node_modules/mongo2mongo/dist/index.js')).href
)

const stored = new Map()
const redis = {
  get: async (key) => stored.get(key) ?? null,
  set: async (key, value) => stored.set(key, String(value)),
  setnx: async (key, value) => stored.has(key) || stored.set(key, String(value)),
  mset: async (...pairs) => {
    for (let at = 0; at < pairs.length; at += 2) stored.set(pairs[at], String(pairs[at + 1]))
  },
  del: async (...keys) => keys.forEach((key) => stored.delete(key)),
  exists: async (key) => (stored.has(key) ? 1 : 0),
}

const source = await new MongoClient(sourceUri).connect()
const destination = await new MongoClient(destinationUri).connect()
const sync = mongo2mongo.initSync(
  redis,
  source.db(from).collection(collection),
  destination.db(to).collection(collection)
)
stored.set(sync.keys.changeStreamTokenKey, token)

let applied = 0
const began = process.hrtime.bigint()
const used = process.cpuUsage()
const done = new Promise((resolve) => {
  sync.emitter.on('process', ({ success, fail }) => {
    applied += success + fail
    if (applied >= Number(wanted)) resolve()
  })
})
const stream = await sync.processChangeStream({ batchSize: 1000, operationCounts: false })
stream.start()
await done
const { user, system } = process.cpuUsage(used)
console.log(
  JSON.stringify({
    events: applied,
    seconds: Number(process.hrtime.bigint() - began) / 1e9,
    processor: (user + system) / 1e6,
    memory: process.resourceUsage().maxRSS * 1024,
  })
)
process.exit(0)
