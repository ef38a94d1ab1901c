// SPDX-License-Identifier: Apache-2.0
// Loads all page folders: adding a folder with a page.tsx is all there is to do.
const found = import.meta.glob<{ register: () => void }>('./*/page.tsx', { eager: true })

export function registerPages() {
  for (const module of Object.values(found)) module.register()
}
