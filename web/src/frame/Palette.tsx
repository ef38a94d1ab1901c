// SPDX-License-Identifier: Apache-2.0
// One box to go, find and do: objects by any part of name, address, MAC, UUID or note; verbs of the open object; pages.
import { useEffect, useMemo, useRef, useState, useSyncExternalStore } from 'react'
import { get } from '../api/client'
import { labelAnywhere, pluralOf, resource, resources, typeOf } from '../api/contract'
import { visible } from '../kit/format'
import { Icon } from '../kit/state/glyphs'
import { StateGlyph } from '../kit/state/State'
import { refusal, verbsOf } from '../kit/verbs/check'
import { ask } from '../kit/verbs/run'
import { useLink } from '../live/link'
import { peek, useObject } from '../live/store'
import { may } from '../live/session'
import { allAddresses } from '../pages/registry'
import { go } from '../router'
import { t } from '../texts'
import { recents } from './recents'
import { closePalette, isPaletteOpen, subscribePalette } from './paletteState'

interface Entry { key: string; icon: string; text: string; more?: string; why?: string; id?: string; run: () => void }
interface Match { object: string; kind: string; name?: string; field: string; value?: string }

const TYPING_MS = 15 // for a key that comes before the answer to the last one; what was asked for in vain is given up
const REST_MS = 250
const RECENTS = 8

export function Palette() {
  const open = useSyncExternalStore(subscribePalette, isPaletteOpen)
  return open ? <Box /> : null
}

function useMatches(text: string): { matches: Match[]; total: number; asked: string } {
  const [found, setFound] = useState<{ matches: Match[]; total: number; asked: string }>({ matches: [], total: 0, asked: '' })
  const asking = useRef(0)
  useEffect(() => {
    const wanted = text.trim()
    if (!wanted || wanted.startsWith('>')) return setFound({ matches: [], total: 0, asked: wanted })
    const abort = new AbortController()
    const timer = setTimeout(() => {
      asking.current++
      get(`/search?q=${encodeURIComponent(wanted)}&limit=30`, abort.signal).then((answer) => setFound({ matches: answer.items, total: answer.total, asked: wanted }), () => undefined).finally(() => asking.current--)
    }, asking.current ? TYPING_MS : 0)
    return () => {
      clearTimeout(timer)
      abort.abort()
    }
  }, [text])
  return found
}

function commands(): Entry[] {
  const id = location.pathname.split('/')[2]
  const plural = id && pluralOf(id)
  const object = id ? peek(id) : undefined
  const verbs: Entry[] = plural && object ? verbsOf(plural).map((op) => ({
    key: 'verb:' + op.name, icon: 'play', text: op.l, more: visible(object.name ?? id), why: refusal(op, object), run: () => ask(plural, op, [object]),
  })) : []
  const places: Entry[] = Object.entries(resources()).filter(([, r]) => r.ops.some((o) => o.name === 'list' && may(o.right))).map(([p, r]) => ({ key: 'page:' + p, icon: p, text: r.many, more: t('page'), run: () => go('/' + p) }))
  const own: Entry[] = allAddresses().map((a) => ({ key: 'at:' + a.path, icon: 'plus', text: a.title(), more: t('page'), run: () => go(a.path) }))
  return [...verbs, ...own, ...places]
}

function Box() {
  const [text, setText] = useState('')
  const [at, setAt] = useState(0)
  const found = useMatches(text)
  const box = useRef<HTMLInputElement>(null)
  const back = useRef<Element | null>(document.activeElement)
  useEffect(() => box.current?.focus(), [])
  const upOrDown = useLink()
  const entries = useMemo(() => {
    const needle = text.replace(/^>/, '').trim().toLowerCase()
    const objects: Entry[] = found.matches.map((m) => ({
      key: m.object, id: m.object, icon: m.kind, text: visible(m.name ?? m.object), more: m.field === 'name' ? m.object : `${labelAnywhere(resource(m.kind)?.type ?? '', m.field)}: ${visible(m.value ?? '')}`,
      run: () => go(`/${m.kind}/${m.object}`),
    }))
    const here = location.pathname.split('/')[2]
    const lately: Entry[] = recents().filter((one) => one.id !== here && pluralOf(one.id)).slice(0, RECENTS).map((one) => {
      const plural = pluralOf(one.id)!
      return { key: one.id, id: one.id, icon: plural, text: visible(one.name), more: t('recent'), run: () => go(`/${plural}/${one.id}`) }
    })
    const all = commands()
    const fitting = needle ? all.filter((e) => e.text.toLowerCase().includes(needle)) : all.slice(0, 12)
    return text.startsWith('>') ? fitting : needle ? [...objects, ...fitting.slice(0, 8)] : [...lately, ...fitting]
  }, [text, found, upOrDown])
  useEffect(() => setAt(0), [text])
  // Enter before the answer: what is found for these words opens when it is known, nothing else.
  const [entered, setEntered] = useState<string>()
  useEffect(() => {
    if (entered === undefined) return
    if (entered !== text.trim()) setEntered(undefined)
    else if (found.asked === entered) {
      setEntered(undefined)
      run(entries[0])
    }
  }, [entered, text, found, entries])
  const close = () => {
    closePalette()
    if (back.current instanceof HTMLElement) back.current.focus()
  }
  const run = (entry: Entry | undefined) => {
    if (!entry || entry.why) return
    closePalette()
    entry.run()
  }
  return (
    <div className="paletteback" onMouseDown={close}>
      <div className="palette" role="dialog" aria-label={t('search')} onMouseDown={(e) => e.stopPropagation()}>
        <div className="palettebox">
          <Icon name="search" />
          <input
            ref={box} value={text} spellCheck={false} placeholder={t('search_hint')} role="combobox" aria-expanded aria-controls="hits" aria-activedescendant={entries.length ? `hit-${Math.min(at, entries.length - 1)}` : undefined} aria-label={t('search')} data-test="search" onChange={(e) => setText(e.target.value)}
            onKeyDown={(e) => {
              if (e.nativeEvent.isComposing) return
              if (e.key === 'ArrowDown') setAt((i) => Math.min(entries.length - 1, i + 1))
              else if (e.key === 'ArrowUp') setAt((i) => Math.max(0, i - 1))
              else if (e.key === 'Enter') {
                if (found.asked === text.trim() || text.startsWith('>')) run(entries[at])
                else setEntered(text.trim())
              } else if (e.key === 'Escape') close()
              else return
              e.preventDefault()
            }}
          />
          <kbd>Esc</kbd>
        </div>
        <div className="hits" id="hits" role="listbox" aria-label={t('search')}>
          {entries.map((entry, i) => (
            <div key={entry.key} id={`hit-${i}`} role="option" aria-selected={i === at} aria-disabled={!!entry.why} className={`hit${i === at ? ' at' : ''}${entry.why ? ' off' : ''}`} onMouseMove={() => setAt(i)} onClick={() => run(entry)}>
              {entry.id ? <HitGlyph id={entry.id} icon={entry.icon} /> : <Icon name={entry.icon} />}
              <bdi className="hittext">{entry.text}</bdi>
              <span className="hitmore" dir="auto">{entry.why ?? entry.more}</span>
              {entry.id && <span className="hitkind">{resource(entry.icon)?.one}</span>}
            </div>
          ))}
          {text && !entries.length && found.asked === text.trim() && <div className="hit off">{t('none_found')}</div>}
        </div>
        {found.total > 30 && <div className="palettefoot">{t('first_of', { n: 30, total: found.total })}</div>}
      </div>
    </div>
  )
}

/** Its state, once what was typed has stood for a while: not thirty requests for each key. */
function HitGlyph({ id, icon }: { id: string; icon: string }) {
  const [rests, setRests] = useState(false)
  useEffect(() => {
    const timer = setTimeout(() => setRests(true), REST_MS)
    return () => clearTimeout(timer)
  }, [])
  const { object } = useObject(rests ? id : undefined)
  return (object && StateGlyph({ type: typeOf(id)!, object })) || <Icon name={icon} /> // not all kinds have a state
}
