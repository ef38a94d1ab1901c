// SPDX-License-Identifier: Apache-2.0
// The keyboard's map. Silent in fields, in consoles, and while an input method composes.
import { useLayoutEffect } from 'react'
import { pluralOf } from '../api/contract'
import { peek } from '../live/store'
import { ask } from '../kit/verbs/run'
import { verbsOf, refusal } from '../kit/verbs/check'
import { openOverlay } from '../kit/overlay'
import { KeyMap } from './KeyMap'
import { go } from '../router'
import { openPalette } from './paletteState'
import { createElement } from 'react'

export const PLACES: Record<string, string> = { s: '/', c: '/clusters', h: '/hosts', v: '/vms', p: '/pools', n: '/port-groups', i: '/images', t: '/tasks', a: '/alarms', b: '/bin', e: '/events' }
export const VERB_KEYS: Record<string, string> = { c: 'console', m: 'migrate' }

const silent = (target: EventTarget | null) => target instanceof HTMLElement && (target.isContentEditable || /^(INPUT|TEXTAREA|SELECT|CANVAS)$/.test(target.tagName) || !!target.closest('.ant-modal, .console, [role=listbox]'))

/** What a dialog shows may be nowhere else (a token that was made): no key puts another in its place, wherever the focus is. */
const dialogUp = () => [...document.querySelectorAll('.ant-modal-wrap')].some((one) => one.getClientRects().length > 0)

function verbByKey(key: string) {
  const id = location.pathname.split('/')[2]
  const plural = id && pluralOf(id)
  const object = id && peek(id)
  const op = plural && verbsOf(plural).find((o) => o.name === VERB_KEYS[key])
  if (op && object && !refusal(op, object)) ask(plural, op, [object])
}

let going: number | undefined // when g was pressed

export function useKeys({ toggleTree }: { toggleTree: () => void }) {
  useLayoutEffect(() => { // keys work as soon as there is something to see
    const press = (event: KeyboardEvent) => {
      if (event.isComposing || dialogUp()) return
      if ((event.ctrlKey || event.metaKey) && event.key === 'k') {
        event.preventDefault()
        openPalette()
        return
      }
      if (event.ctrlKey || event.metaKey || event.altKey || silent(event.target)) return
      if (going !== undefined && event.timeStamp - going < 1500 && PLACES[event.key]) {
        going = undefined
        event.preventDefault()
        go(PLACES[event.key]!)
      } else if (event.key === 'g') going = event.timeStamp
      else if (event.key === '/') {
        event.preventDefault()
        openPalette()
      } else if (event.key === '?') openOverlay(createElement(KeyMap))
      else if (event.key === 't') toggleTree()
      else if (event.key === '[' || event.key === ']') {
        const tabs = [...document.querySelectorAll<HTMLElement>('.tabs [role=tab]')]
        const at = tabs.findIndex((tab) => tab.getAttribute('aria-selected') === 'true')
        tabs[at + (event.key === ']' ? 1 : -1)]?.click()
      } else if (VERB_KEYS[event.key]) verbByKey(event.key)
    }
    addEventListener('keydown', press)
    return () => removeEventListener('keydown', press)
  }, [toggleTree])
}
