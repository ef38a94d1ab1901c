// SPDX-License-Identifier: Apache-2.0
// The dialog of a verb, for one object or many: what will happen, its settings, what stands against it, and the name for what cannot be undone.
import { Suspense, useEffect, useMemo, useRef, useState, type ReactNode } from 'react'
import { Button, Input, Modal } from 'antd'
import { ApiError, dryRun, type Obj } from '../../api/client'
import { fieldsOf, resource, type Op } from '../../api/contract'
import type { MigrationForecast } from '../../api/generated/types'
import { useHelp } from '../../api/help'
import { useObject } from '../../live/store'
import { t } from '../../texts'
import { ErrorBox, Fence, tell } from '../error/ErrorBox'
import { clean, fieldErrors, Fields, type Values } from '../form/Fields'
import { Name } from '../Name'
import { closeOverlay, openOverlay } from '../overlay'
import { Glyph } from '../state/glyphs'
import { StateGlyph } from '../state/State'
import { BatchResult } from './BatchResult'
import { sift, withheld } from './check'
import { useForecasts } from './foretold'
import { verbForm } from './forms'
import { sendMany } from './many'
import { send, verbMethod, verbPath } from './run'
import { visible } from '../format'

const DRY_MS = 400
const WAITS = <div className="skeleton" aria-busy />

/** A piece of the dialog that comes by itself; it says when it is there, for until then nobody has seen what it says or asks. */
function Piece({ children, count }: { children: ReactNode; count: Count }) {
  return <Fence><Suspense fallback={WAITS}>{children}<There count={count} /></Suspense></Fence>
}

type Count = (change: (n: number) => number) => void

function There({ count }: { count: Count }) {
  useEffect(() => {
    count((n) => n + 1)
    return () => count((n) => n - 1)
  }, [count])
  return null
}

/** What the server would do, asked while somebody types. */
function useDryRun(plural: string, op: Op, object: Obj | undefined, body: Values, whole: boolean): { steps?: string[]; forecast?: MigrationForecast; error?: unknown; asking: boolean } {
  const [state, setState] = useState<{ of?: string; steps?: string[]; forecast?: MigrationForecast; error?: unknown; asking: boolean }>({ asking: true })
  const text = JSON.stringify(body)
  useEffect(() => {
    if (!object || !whole) return setState({ asking: false })
    let here = true
    // What was said of the same settings stays while the object's load changes; of others it says nothing.
    setState((s) => (s.of === text ? { ...s, asking: true } : { of: text, asking: true }))
    const timer = setTimeout(() => {
      dryRun(verbMethod(op), verbPath(plural, op, object.id), op.kind === 'delete' && text === '{}' ? undefined : JSON.parse(text)).then(
        (answer) => here && setState({ of: text, steps: answer?.steps, forecast: answer?.forecast, asking: false }),
        (error) => here && setState({ of: text, error, asking: false }),
      )
    }, DRY_MS)
    return () => {
      here = false
      clearTimeout(timer)
    }
  }, [plural, op, object?.id, object?.revision, text, whole])
  return state.of === text ? state : { asking: state.asking }
}

export function VerbDialog({ plural, op, objects, initial }: { plural: string; op: Op; objects: Obj[]; initial?: Values }) {
  const kind = resource(plural)!
  const form = verbForm(plural, op.name)
  const [value, change] = useState<Values>(() => ({ ...form?.initial?.(objects), ...initial }))
  const [typed, setTyped] = useState('')
  const [sending, setSending] = useState(false)
  const [error, setError] = useState<unknown>()
  const [pieces, countPieces] = useState(0) // that are there
  const held = withheld(op.right)
  const { able, refused } = useMemo(() => sift(op, objects), [op, objects, held])
  const first = objects.length === 1 ? objects[0] : undefined
  const single = useObject(first?.id).object ?? first
  const bodyOf = (object: Obj | undefined): Values => clean(form?.each && object ? form.each(object, value) : value)
  const body = bodyOf(single)
  const whole = Object.entries(fieldsOf(op.body ?? '')).every(([name, field]) => !field.req || (body[name] !== undefined && body[name] !== '')) && form?.ready?.(value) !== false
  const dry = useDryRun(plural, op, single, body, whole && !sending)
  const ofMany = useForecasts(plural, op, able, bodyOf, !!form?.foretold && !first && whole && !held && !sending)
  const forecasts = first ? (dry.forecast ? [dry.forecast] : []) : ofMany
  const danger = op.danger ?? 0
  const wanted = single ? visible(single.name ?? single.id) : String(able.length)
  const confirmed = danger < 3 || typed === wanted || (!!single && typed === single.name)
  useHelp()
  const shownError = error ?? dry.error
  const fieldsThere = Object.keys(fieldsOf(op.body ?? '')).length > 0
  const box = useRef<HTMLDivElement>(null)
  const under = useRef(false)
  const blocked = dry.error instanceof ApiError && ['wrong_state', 'busy', 'forbidden', 'not_found'].includes(dry.error.code)
  const mayRun = !held && confirmed && able.length > 0 && !blocked && pieces === Number(!!form?.intro) + Number(!!form?.fields) && form?.ready?.(value) !== false

  const run = async () => {
    if (under.current) return // Enter twice
    under.current = true
    setSending(true)
    setError(undefined)
    try {
      if (single) {
        await send(plural, op, single.id, body)
        closeOverlay()
      } else {
        const sent = await sendMany(plural, op, able, bodyOf)
        if (!sent.tasks.length && !sent.unsent.length && sent.answered.every((one) => !one.error)) closeOverlay() // all done by now
        else openOverlay(<BatchResult sent={sent} plural={plural} op={op} objects={able} args={value} refused={refused} />)
      }
    } catch (failed) {
      under.current = false
      setError(failed)
      setSending(false)
    }
  }

  return (
    <Modal
      open title={single ? <>{op.l}: <Name text={single.name ?? single.id} max={60} /></> : t('verb_on_many', { verb: op.l, n: able.length, kind: kind.many })} onCancel={closeOverlay} width={560} destroyOnHidden
      footer={[
        <Button key="no" onClick={closeOverlay} autoFocus={danger > 0 && danger < 3}>{t('cancel')}</Button>,
        <Button key="go" type="primary" danger={danger >= 2} loading={sending} disabled={!mayRun} title={held} onClick={() => void run()} data-test="confirm">{op.l}</Button>,
      ]}
    >
      <div ref={box} className="stack">
        {op.d && <p className="lead">{op.d}</p>}
        {held && <p className="notice" role="status">{held}</p>}
        {form?.intro && <Piece count={countPieces}><form.intro objects={able} value={value} /></Piece>}
        {!single && <Selection able={able} refused={refused} type={kind.type} />}
        {form?.fields ? <Piece count={countPieces}><form.fields objects={able} value={value} change={change} /></Piece> : fieldsThere && op.body ? <Fields type={op.body} value={value} change={change} errors={fieldErrors(tell(shownError))} /> : null}
        {dry.steps && !shownError && <p className="checkok" role="status"><Glyph name="tick" colour="ok" /> {t('checks_passed')}</p>}
        {form?.foretold && forecasts.length > 0 && !shownError && <Fence><Suspense fallback={WAITS}><form.foretold forecasts={forecasts} of={first ? 1 : able.length} /></Suspense></Fence>}
        {shownError !== undefined && <ErrorBox error={tell(shownError)} />}
        {danger === 3 && able.length > 0 && (
          <label className="confirmname">
            <span>{single ? t('type_name') : t('type_number')} <b className="mono">{wanted}</b></span>
            <Input value={typed} onChange={(e) => setTyped(e.target.value)} autoFocus autoComplete="off" spellCheck={false} data-test="confirm-name" onPressEnter={() => mayRun && void run()} />
          </label>
        )}
      </div>
    </Modal>
  )
}

const SHOWN = 6

export function Selection({ able, refused, type }: { able: Obj[]; refused: [string, Obj[]][]; type: string }) {
  return (
    <div className="selection">
      <Names objects={able} type={type} head={t('will_do', { n: able.length })} />
      {refused.map(([why, objects]) => <Names key={why} objects={objects} type={type} head={t('skipped_because', { n: objects.length, why })} soft />)}
    </div>
  )
}

function Names({ objects, type, head, soft }: { objects: Obj[]; type: string; head: string; soft?: boolean }) {
  if (!objects.length) return null
  return (
    <div className={soft ? 'soft' : undefined}>
      <div>{head}</div>
      <ul className="names">
        {objects.slice(0, SHOWN).map((o) => <li key={o.id}><StateGlyph type={type} object={o} size={14} /> <Name text={o.name ?? o.id} max={36} /></li>)}
        {objects.length > SHOWN && <li className="faint">{t('and_more', { n: objects.length - SHOWN })}</li>}
      </ul>
    </div>
  )
}
