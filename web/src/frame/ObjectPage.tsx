// SPDX-License-Identifier: Apache-2.0
// The page of one object: its head that stays, and tabs that are addresses.
import { Suspense, useEffect, useState } from 'react'
import { Button, Dropdown, Input } from 'antd'
import { call, type Obj } from '../api/client'
import { fieldsOf, opOf, resource, resources } from '../api/contract'
import { useHelp } from '../api/help'
import { Details } from '../kit/Details'
import { ErrorBox, Missing, tell } from '../kit/error/ErrorBox'
import { useReasons, verbItems } from '../kit/menu'
import { Name, Ref, To } from '../kit/Name'
import { Icon } from '../kit/state/glyphs'
import { ObjectState, StateGlyph } from '../kit/state/State'
import { ListView } from '../kit/table/ListView'
import { TaskDetail } from '../kit/TaskDetail'
import { toastError } from '../kit/toast'
import { against, refusal, verbsOf } from '../kit/verbs/check'
import { verbForm } from '../kit/verbs/forms'
import { ask } from '../kit/verbs/run'
import { may } from '../live/session'
import { learn, noteName, refetch, useObject } from '../live/store'
import { noteMade } from '../live/follow'
import { dropRecent, noteRecent } from './recents'
import { pageOf, type Tab, type TabProps, type TypePage } from '../pages/registry'
import { go } from '../router'
import { t } from '../texts'

/** Types whose objects are shown as lists on the pages of what they refer to. */
const RELATED = ['hosts', 'clusters', 'vms', 'pools', 'volumes', 'images', 'switches', 'port-groups']

/** Objects that are in others by way of a third: the VMs of a cluster are those of its hosts. `over`: what one must be allowed to read for that. */
const BEYOND: Record<string, { other: string; path: string; over: string }[]> = {
  clusters: [{ other: 'vms', path: 'host.cluster', over: 'hosts' }], 'host-pools': [{ other: 'vms', path: 'host.host_pool', over: 'hosts' }],
  'port-groups': [{ other: 'vms', path: 'nics.port_group', over: 'port-groups' }], switches: [{ other: 'vms', path: 'nics.port_group.switch', over: 'port-groups' }],
  pools: [{ other: 'vms', path: 'disks.volume.pool', over: 'volumes' }],
}

const mayList = (plural: string) => !!resources()[plural]?.ops.some((o) => o.name === 'list' && may(o.right))

export function ObjectPage({ plural, id, tab }: { plural: string; id: string; tab: string }) {
  const { object, error, gone } = useObject(id)
  useEffect(() => {
    if (object?.name) {
      noteName(id, object.name)
      document.title = `${object.name} · WinSphere`
    }
    if (gone) dropRecent(id)
    else if (object?.name) noteRecent(id, object.name)
  }, [id, object?.name, gone])
  if (!object) return error ? error.status === 404 ? <Missing id={id} error={error} /> : <div className="pad"><ErrorBox error={tell(error)} actions={<Button size="small" onClick={() => refetch(id)}>{t('try_again')}</Button>} /></div> : <div className="skeleton" aria-busy aria-label={t('loading')} />
  return <Known plural={plural} object={object} tab={tab} gone={!!gone} />
}

function Known({ plural, object, tab, gone }: { plural: string; object: Obj; tab: string; gone: boolean }) {
  const page = pageOf(plural)
  const tabs = tabsOf(plural, page, object)
  const shown = tabs.find((one) => one.key === tab) ?? tabs[0]!
  return (
    <div className="objectpage">
      <Head plural={plural} object={object} gone={gone} page={page} />
      {gone && <div className="notice pad" role="alert" data-test="gone">{t('object_gone')} <To to={'/' + plural}>{resource(plural)!.many}</To></div>}
      <div className="tabs" role="tablist" aria-label={t('tabs')}>
        {tabs.map((one) => (
          <a
            key={one.key} role="tab" id={`tab-${one.key}`} aria-selected={one === shown} aria-controls="tabpanel" tabIndex={one === shown ? 0 : -1} href={`/${plural}/${object.id}/${one.key}`} data-tab={one.key}
            onClick={(e) => {
              if (e.metaKey || e.ctrlKey) return
              e.preventDefault()
              go(`/${plural}/${object.id}/${one.key}`)
            }}
          >
            {one.label()}
          </a>
        ))}
      </div>
      <div className="tabpanel" role="tabpanel" tabIndex={0} id="tabpanel" aria-labelledby={`tab-${shown.key}`} key={shown.key}>
        <Suspense fallback={<div className="skeleton" aria-busy aria-label={t('loading')} />}><shown.part object={object} plural={plural} /></Suspense>
      </div>
    </div>
  )
}

function tabsOf(plural: string, page: TypePage | undefined, object: Obj): Tab[] {
  const kind = resource(plural)!
  const tabs: Tab[] = []
  if (page?.summary) tabs.push({ key: 'summary', label: () => t('summary'), part: page.summary })
  if (plural === 'tasks' || plural === 'ended-tasks') tabs.push({ key: 'summary', label: () => t('summary'), part: ({ object: task }: TabProps) => <div className="pad"><TaskDetail task={task} /></div> })
  for (const one of page?.tabs ?? []) if (one.shown?.(object) !== false) tabs.push(one)
  tabs.push({ key: page?.summary ? 'configure' : 'settings', label: () => (page?.summary ? t('configure') : t('settings')), part: ({ object: it }: TabProps) => <Details plural={plural} type={kind.type} object={it} except={['activity', 'health', 'usage', 'load', 'name']} /> })
  for (const other of RELATED) {
    const r = resources()[other]
    if (!r || page?.without?.includes(other) || !mayList(other)) continue
    const field = Object.entries(fieldsOf(r.type)).find(([, f]) => f.t === 'ref' && f.r === kind.type && (f.idx || (f.many && !f.ro)))?.[0] // a list that the manager keeps for itself is no place to be in
    const beyond = field ? undefined : BEYOND[plural]?.find((one) => one.other === other && mayList(one.over))
    if (beyond) tabs.push({ key: other, label: () => r.many, part: () => <ListView plural={other} base={`${beyond.path}=${object.id}${other === 'vms' ? ' and management!=in_bin' : ''}`} name={other} /> })
    if (field) tabs.push({ key: other, label: () => r.many, part: () => <ListView plural={other} base={`${field}=${object.id}${other === 'vms' ? ' and management!=in_bin' : ''}`} name={other} /> })
  }
  if (!kind.history && plural !== 'tasks') {
    if (may('event.read')) tabs.push({ key: 'events', label: () => resource('events')!.many, part: () => <ListView plural="events" base={`object=${object.id}`} columns={['time', 'level', 'text', 'cause']} name="e" onOpen={() => undefined} /> })
    if (may('task.read')) tabs.push({ key: 'tasks', label: () => resource('tasks')!.many, part: () => <Tasks id={object.id} /> })
  }
  return tabs
}

function Tasks({ id }: { id: string }) {
  return (
    <div className="twolists">
      <ListView plural="tasks" base={`target=${id}`} sort="-created" name="t" />
      <h2>{t('earlier')}</h2>
      <ListView plural="ended-tasks" base={`target=${id}`} name="u" />
    </div>
  )
}

function Head({ plural, object, gone, page }: { plural: string; object: Obj; gone: boolean; page?: TypePage }) {
  useHelp()
  const kind = resource(plural)!
  const [menu, setMenu] = useState(false)
  const reasons = useReasons(plural, object, menu)
  const verbs = verbsOf(plural)
  const ranked = verbs.filter((op) => verbForm(plural, op.name)?.main !== undefined).sort((a, b) => verbForm(plural, a.name)!.main! - verbForm(plural, b.name)!.main!)
  const able = ranked.filter((op) => may(op.right) && !against(op, object))
  const main = (able.length ? able : ranked).slice(0, 4)
  const parent = page?.parent?.(object)
  return (
    <div className="objecthead">
      <StateGlyph type={kind.type} object={object} size={22} />
      <div className="titles">
        <div className="title"><EditableName plural={plural} object={object} /> <ObjectState type={kind.type} object={object} long /></div>
        <div className="crumbs">
          <To to={'/' + plural}>{kind.one}</To>
          {parent && <><span className="faint">·</span><Ref id={parent} icon max={40} /></>}
          <span className="faint mono">{object.id}</span>
        </div>
      </div>
      <span className="grow" />
      {!gone && (
        <div className="verbs" role="toolbar" aria-label={t('verbs')}>
          {main.map((op) => {
            const why = refusal(op, object)
            const form = verbForm(plural, op.name)
            return <Button key={op.name} disabled={!!why} title={why ?? (form?.shortcut ? `${op.l} (${form.shortcut})` : op.d)} icon={form?.icon ? <Icon name={form.icon} size={13} /> : undefined} onClick={() => ask(plural, op, [object])} data-verb={op.name}>{op.l}</Button>
          })}
          {verbs.length > 0 && (
            <Dropdown trigger={['click']} open={menu} onOpenChange={setMenu} placement="bottomRight" menu={{ items: verbItems(plural, [object], reasons) }}>
              <Button icon={<Icon name="more" />} aria-label={t('more_verbs')} data-test="more-verbs" />
            </Dropdown>
          )}
        </div>
      )}
    </div>
  )
}

function EditableName({ plural, object }: { plural: string; object: Obj }) {
  const op = opOf(plural, 'update')
  const field = fieldsOf(resource(plural)!.type).name
  const able = op && field && !field.ro && !field.im && !refusal(op, object)
  const [text, setText] = useState<string>()
  const text_ = object.name ?? object.target_name ?? object.object_name ?? object.id
  const save = async () => {
    const next = text?.trim()
    setText(undefined)
    if (!next || next === object.name) return
    try {
      const answer = await call('PATCH', `/${plural}/${object.id}`, { name: next })
      if (answer?.id?.startsWith('task-')) noteMade(answer)
      else learn(answer)
    } catch (error) {
      toastError(tell(error), t('rename_failed'))
    }
  }
  if (text !== undefined) {
    return <Input size="small" autoFocus value={text} maxLength={255} aria-label={field?.l} onChange={(e) => setText(e.target.value)} onBlur={() => void save()} onKeyDown={(e) => (e.key === 'Enter' ? void save() : e.key === 'Escape' && setText(undefined))} />
  }
  return (
    <h1>
      <Name text={text_} max={70} />
      {able && <Button type="text" size="small" className="rename" aria-label={t('rename')} title={t('rename')} icon={<Icon name="edit" size={13} />} onClick={() => setText(object.name)} />}
    </h1>
  )
}
