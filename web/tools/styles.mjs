// SPDX-License-Identifier: Apache-2.0
// styles.mjs OUT: writes OUT/theme.css: Ant Design's styles of the parts we use and the tokens of both themes. So no style is made while
// the console runs, and the content security policy can forbid all of that.
import { mkdirSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { createRequire } from 'node:module'
import { antd as seeds, parts, series, states, surfaces } from '../src/theme/tokens.mjs'

const require = createRequire(import.meta.url)
const React = require('react')
const { ConfigProvider, theme } = require('antd')
const { extractStyle } = require('@ant-design/static-style-extract')

function sheet(name) {
  const algorithm = name === 'dark' ? theme.darkAlgorithm : theme.defaultAlgorithm
  return extractStyle({
    includes: parts,
    customTheme: (node) => React.createElement(ConfigProvider, { theme: { hashed: false, cssVar: { key: `ws-${name}` }, algorithm, token: seeds[name] } }, node),
  })
}

/** Rules at the top of a sheet, one text each. */
function rules(css) {
  const out = []
  let depth = 0, from = 0
  for (let i = 0; i < css.length; i++) {
    if (css[i] === '{') depth++
    else if (css[i] === '}' && --depth === 0) { out.push(css.slice(from, i + 1)); from = i + 1 }
  }
  return out
}

const kebab = (word) => word.replace(/[A-Z]/g, (c) => '-' + c.toLowerCase())
const own = (name) => `.ws-${name}{` + [
  ...Object.entries(surfaces[name]).map(([k, v]) => `--${kebab(k)}:${v}`),
  ...Object.entries(states[name]).map(([k, v]) => `--state-${k}:${v}`),
  ...series[name].map((v, i) => `--series-${i}:${v}`),
  `color-scheme:${name}`,
].join(';') + '}'

const light = rules(sheet('light'))
const known = new Set(light)
const dark = rules(sheet('dark')).filter((rule) => !known.has(rule))
const out = process.argv[2]
mkdirSync(out, { recursive: true })
writeFileSync(join(out, 'theme.css'), [...light, ...dark, own('light'), own('dark')].join('\n'))
