// SPDX-License-Identifier: Apache-2.0
// Making or changing an object: its form from the contract. What is needed stands first, the rest is folded.
import { useRef, useState } from 'react'
import { Button, Modal } from 'antd'
import { call, type Obj } from '../../api/client'
import { fieldsOf, opOf, resource } from '../../api/contract'
import { noteMade } from '../../live/follow'
import { learn, useObject } from '../../live/store'
import { go } from '../../router'
import { t } from '../../texts'
import { ErrorBox, tell } from '../error/ErrorBox'
import { Name } from '../Name'
import { closeOverlay, openOverlay } from '../overlay'
import { Icon } from '../state/glyphs'
import { useDraft } from './draft'
import { patchOf } from './patch'
import { changeable, withheld } from '../verbs/check'
import { clean, fieldErrors, Fields, type Values } from './Fields'
import { formShape, meant, useNothing } from './shape'

interface CreateProps { plural: string; initial?: Values; first?: string[]; except?: string[]; onMade?: (object: any) => void }

export function CreateDialog({ plural, initial = {}, first, except = [], onMade }: CreateProps) {
  const kind = resource(plural)!
  const fields = fieldsOf(kind.type)
  const shape = formShape(plural)
  const needed = first ?? shape.first ?? ['name', ...Object.keys(fields).filter((f) => fields[f]!.req && f !== 'name')].filter((f) => fields[f])
  const draft = useDraft<Values>(`create-${plural}${Object.values(initial).join()}`, initial) // what was begun for another object stays with that one
  const among = (shape.useAmong ?? useNothing)(draft.value)
  const [open, setOpen] = useState(false)
  const [busy, setBusy] = useState(false)
  const under = useRef(false)
  const [error, setError] = useState<unknown>()
  const held = withheld(opOf(plural, 'create')?.right ?? 'any')
  const submit = async () => {
    if (under.current || held) return // Enter twice
    under.current = true
    setBusy(true)
    setError(undefined)
    try {
      await shape.made?.load()
      const made = await call('POST', `/${plural}`, clean(meant(plural, draft.value)))
      draft.drop()
      if (made?.id?.startsWith('task-')) noteMade(made)
      if (onMade) return onMade(made)
      if (shape.made) return openOverlay(<shape.made made={made} />)
      closeOverlay()
      if (made?.id && !made.id.startsWith('task-')) go(`/${plural}/${made.id}`)
    } catch (failed) {
      under.current = false
      setError(failed)
      setBusy(false)
    }
  }
  const told = error === undefined ? undefined : tell(error)
  const hidden = shape.hide?.(draft.value) ?? []
  return (
    <Modal open title={t('new', { kind: kind.one })} onCancel={closeOverlay} width={600} destroyOnHidden okText={t('create')} cancelText={t('cancel')} onOk={() => void submit()} confirmLoading={busy} okButtonProps={{ 'data-test': 'confirm', disabled: !!held, title: held }}>
      <form className="stack" onSubmit={(e) => {
        e.preventDefault()
        void submit()
      }}>
        {draft.restored && <p className="soft">{t('draft_restored')} <Button size="small" type="link" onClick={() => draft.set(initial)}>{t('discard')}</Button></p>}
        <Fields type={kind.type} only={needed.filter((name) => !hidden.includes(name))} among={among} value={draft.value} change={draft.set} errors={fieldErrors(told)} />
        <button type="button" className="grouphead" aria-expanded={open} onClick={() => setOpen(!open)}><Icon name={open ? 'down' : 'right'} size={12} /> {t('more_settings')}</button>
        {open && <Fields type={kind.type} except={[...needed, ...except, ...hidden]} among={among} value={draft.value} change={draft.set} errors={fieldErrors(told)} />}
        {told && <ErrorBox error={told} />}
        <input type="submit" hidden />
      </form>
    </Modal>
  )
}

export function EditDialog({ plural, object: first, only, title }: { plural: string; object: Obj; only?: string[]; title?: string }) {
  const object = useObject(first.id).object ?? first
  const kind = resource(plural)!
  const fields = fieldsOf(kind.type)
  const names = changeable(plural, kind.type, (only ?? Object.keys(fields)).filter((f) => fields[f]))
  const start = Object.fromEntries(names.map((f) => [f, object[f]]))
  const [before] = useState<Values>(start)
  const [value, change] = useState<Values>(start)
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()
  const shape = formShape(plural)
  const hidden = shape.hide?.(value) ?? []
  const among = (shape.useAmong ?? useNothing)({ ...object, ...value })
  const patch = patchOf(before, clean(meant(plural, value)))
  const changes = Object.keys(patch).length
  const moved = names.filter((f) => JSON.stringify(object[f]) !== JSON.stringify(before[f]))
  const held = changes ? withheld(opOf(plural, 'update')?.right ?? 'any') : undefined
  const submit = async () => {
    if (held) return
    if (!changes) return closeOverlay()
    setBusy(true)
    setError(undefined)
    try {
      const answer = await call('PATCH', `/${plural}/${object.id}`, patch)
      if (answer?.id?.startsWith('task-')) noteMade(answer)
      else learn(answer)
      closeOverlay()
    } catch (failed) {
      setError(failed)
      setBusy(false)
    }
  }
  const told = error === undefined ? undefined : tell(error)
  return (
    <Modal
      open title={<>{title ?? t('change')}: <Name text={object.name ?? object.id} /></>} onCancel={closeOverlay} width={640} destroyOnHidden okText={changes ? t('save_n', { n: changes }) : t('close')} cancelText={t('cancel')} onOk={() => void submit()} confirmLoading={busy}
      okButtonProps={{ 'data-test': 'confirm', disabled: !!held, title: held }}
    >
      <div className="stack">
        {moved.length > 0 && <p className="notice" role="status">{t('changed_meanwhile', { fields: moved.map((f) => fields[f]!.l).join(', ') })}</p>}
        <Fields type={kind.type} only={names.filter((name) => !hidden.includes(name))} among={among} value={value} change={change} errors={fieldErrors(told)} before={before} />
        {told && <ErrorBox error={told} />}
      </div>
    </Modal>
  )
}
