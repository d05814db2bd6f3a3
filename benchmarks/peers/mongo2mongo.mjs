// The npm package mongo2mongo follows a change stream until it has applied so many events.
//
//   node mongo2mongo.mjs MODULES SOURCE DESTINATION DATABASE COLLECTION EVENTS TOKEN
//
// MODULES is a folder with node_modules (see benchmarks/peer.py). The package keeps its resume
// token in Redis; here a Map stands for it, which is kinder to it than a server would be. Prints
// one line of JSON: wall-clock and processor seconds from the first event asked for to the last one
// applied, or the error that ended it.
import { createRequire } from 'node:module'
import path from 'node:path'
import { pathToFileURL } from 'node:url'

const [modules, sourceUri, destinationUri, database, collection, wanted, token] =
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
  source.db(database).collection(collection),
  destination.db(database).collection(collection)
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
  })
)
process.exit(0)
