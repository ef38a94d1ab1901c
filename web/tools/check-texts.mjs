// SPDX-License-Identifier: Apache-2.0
// check-texts.mjs: refuses texts that are not whole. Each name once, in both languages, with the same places; each used name there, each that
// is there used; no Han in the code; no half-width punctuation after Han; no text beside the catalogue in JSX.
import { readdirSync, readFileSync } from 'node:fs'
import { join, relative } from 'node:path'
import { fileURLToPath } from 'node:url'

const root = fileURLToPath(new URL('../src/', import.meta.url))
const problems = []
const HAN = /\p{Script=Han}/u
/** Names put together at run time: those that begin so are used. */
const BUILT = ['step_', 'delete_', 'pool_kind_', 'nav_', 'range_', 'dpm_', 'why_']
const SAME = new Set(['IOPS'])
const all = readdirSync(root, { recursive: true, withFileTypes: true }).filter((e) => e.isFile()).map((e) => relative(root, join(e.parentPath ?? e.path, e.name)))

/** [path, text] of the files whose names end so. */
function walk(...endings) {
  return all.filter((path) => endings.some((e) => path.endsWith(e)) && !path.includes('generated/')).map((path) => [path, readFileSync(root + path, 'utf8')])
}

const catalogue = { en: new Map(), zh: new Map() }
for (const language of ['en', 'zh']) {
  for (const [path, text] of walk(`texts.${language}.json`)) {
    for (const [name, value] of Object.entries(JSON.parse(text))) {
      if (catalogue[language].has(name)) problems.push(`${path}: ${name} is there twice`)
      catalogue[language].set(name, value)
      if (!value.trim()) problems.push(`${path}: ${name} is empty`)
      if (language === 'zh' && /\p{Script=Han}[,:;?!()]/u.test(value)) problems.push(`${path}: ${name} has half-width punctuation after Han: ${value}`)
    }
  }
}
const places = (text) => [...text.matchAll(/\{(\w+)\}/g)].map((m) => m[1]).sort().join()
for (const [a, b] of [['en', 'zh'], ['zh', 'en']]) {
  for (const [name, text] of catalogue[a]) {
    const other = catalogue[b].get(name)
    if (other === undefined) problems.push(`${name} is missing in ${b}`)
    else if (places(text) !== places(other)) problems.push(`${name} has other places in ${b}`)
    else if (a === 'zh' && text === other && !SAME.has(text) && /[A-Za-z]{3}/.test(text)) problems.push(`${name} is the same in both languages: ${text}`)
  }
}

const used = new Set()
for (const [path, code] of walk('.ts', '.tsx')) {
  for (const m of code.matchAll(/\bt\(\s*'([\w-]+)'/g)) {
    used.add(m[1])
    if (m[1].endsWith('_')) continue
    if (!catalogue.en.has(m[1])) problems.push(`${path}: the text ${m[1]} is nowhere`)
  }
  for (const m of code.matchAll(/\bt\([\w.=' ]+\? '(\w+)' : '(\w+)'/g)) used.add(m[1]).add(m[2])
  if (HAN.test(code.replace(/'中文'/g, '')) && !path.startsWith('kit/format/')) problems.push(`${path}: Han in the code; it belongs into texts.zh.json`)
  for (const m of code.matchAll(/>\s*([A-Z][a-z]+ [a-z]{2,}[\w ]*)</g)) problems.push(`${path}: text beside the catalogue: ${m[1]}`)
  if (/dangerouslySetInnerHTML/.test(code)) problems.push(`${path}: dangerouslySetInnerHTML`)
  if (/\bfetch\(/.test(code) && path !== 'api/client.ts') problems.push(`${path}: fetch outside of api/client.ts`)
  if (/#[0-9a-f]{6}\b/i.test(code)) problems.push(`${path}: a colour outside of theme/`)
  if (/toLocale(Date|Time)?String\(|DateTimeFormat\(/.test(code) && !path.startsWith('kit/format/')) problems.push(`${path}: time formatted outside of kit/format`)
}
for (const name of catalogue.en.keys()) {
  const base = name.replace(/_one$/, '')
  if (!used.has(base) && !BUILT.some((b) => name.startsWith(b))) problems.push(`the text ${name} is not used`)
}
if (problems.length) {
  console.error(problems.map((p) => `check-texts: ${p}`).join('\n'))
  process.exit(1)
}
