// SPDX-License-Identifier: Apache-2.0
import { existsSync, readdirSync, readFileSync, writeFileSync } from 'node:fs'
import { join } from 'node:path'
import { gzipSync } from 'node:zlib'
import { defineConfig } from 'vite'

/** The manager sends the compressed form to who takes it. */
function compressed() {
  let out
  return {
    name: 'compressed',
    configResolved(config) { out = config.build.outDir },
    closeBundle() {
      for (const entry of readdirSync(out, { recursive: true, withFileTypes: true })) {
        if (!entry.isFile() || !/\.(js|css|svg|json|html)$/.test(entry.name)) continue
        const path = join(entry.parentPath, entry.name)
        const whole = readFileSync(path)
        if (whole.length > 1024) writeFileSync(path + '.gz', gzipSync(whole, { level: 9 }))
      }
    },
  }
}

/** What others wrote and is in the bundle, with its licence. */
const licences = {
  name: 'licences',
  generateBundle() {
    const packages = new Map()
    for (const id of this.getModuleIds()) {
      const m = /^(.*node_modules\/((?:@[^/]+\/)?[^/]+))\//.exec(id.replace(/\0/g, ''))
      if (m) packages.set(m[2], m[1])
    }
    const texts = [...packages].sort().map(([name, dir]) => {
      const about = JSON.parse(readFileSync(join(dir, 'package.json'), 'utf8'))
      const file = existsSync(dir) && readdirSync(dir).find((f) => /^licen[cs]e/i.test(f))
      return `${name} ${about.version} (${about.license})\n\n${file ? readFileSync(join(dir, file), 'utf8').trim() : ''}\n`
    })
    this.emitFile({ type: 'asset', fileName: 'licences.txt', source: texts.join('\n' + '-'.repeat(78) + '\n\n') })
  },
}

/** Ant Design's styles are in the build (tools/styles.mjs). Whatever would still put some into the page while it runs finds this. */
const noStyles = {
  name: 'no-styles',
  enforce: 'pre',
  resolveId: (id) => (/Dom\/dynamicCSS(\.js)?$|^\.\/dynamicCSS(\.js)?$/.test(id) ? '\0no-styles' : undefined),
  load: (id) => (id === '\0no-styles' ? 'const apart = document.createElement("style"); const none = () => apart; export const injectCSS = none, removeCSS = () => {}, updateCSS = none, clearContainerCache = () => {}' : undefined),
}

export default defineConfig({
  define: { 'process.env.NODE_ENV': '"production"' },
  build: {
    target: 'es2022', outDir: 'dist', emptyOutDir: true, assetsInlineLimit: 0, modulePreload: { polyfill: false }, chunkSizeWarningLimit: 2000, reportCompressedSize: false,
    rollupOptions: { input: { index: 'index.html', console: 'console.html' } },
  },
  plugins: [noStyles, licences, compressed()],
})
