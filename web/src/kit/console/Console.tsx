// SPDX-License-Identifier: Apache-2.0
// A VM's screen or serial line, in a tab or a window of its own: the same component.
import { useState } from 'react'
import { Button, Dropdown, Segmented } from 'antd'
import { post, type Obj } from '../../api/client'
import { opOf } from '../../api/contract'
import { may } from '../../live/session'
import { t } from '../../texts'
import { tell } from '../error/ErrorBox'
import { Icon } from '../state/glyphs'
import { ObjectState } from '../state/State'
import { toastError } from '../toast'
import { openOverlay } from '../overlay'
import { VerbDialog } from '../verbs/VerbDialog'
import { against, refusal } from '../verbs/check'
import { send } from '../verbs/run'
import { Screen, type ScreenKeys } from './Screen'
import { Serial } from './Serial'
import { TypeText } from './TypeText'

const COMBINATIONS: [string, string[]][] = [
  ['Ctrl+Alt+Del', ['ctrl', 'alt', 'delete']], ['Ctrl+Alt+F1', ['ctrl', 'alt', 'f1']], ['Ctrl+Alt+F2', ['ctrl', 'alt', 'f2']], ['Ctrl+Alt+F3', ['ctrl', 'alt', 'f3']], ['Alt+F4', ['alt', 'f4']], ['Alt+Tab', ['alt', 'tab']], ['Ctrl+C', ['ctrl', 'c']], ['Ctrl+W', ['ctrl', 'w']], ['Esc', ['esc']],
]

export function Console({ vm, window: own, ticket }: { vm: Obj; window?: boolean; ticket?: string }) {
  const [kind, setKind] = useState<'vnc' | 'serial'>(vm.graphics === 'none' ? 'serial' : 'vnc')
  const [scale, setScale] = useState(true)
  const [keys, setKeys] = useState<ScreenKeys | null>(null)
  const [status, setStatus] = useState('')
  const on = ['running', 'paused', 'io_held', 'crashed'].includes(vm.power?.state)
  const press = (names: string[]) => void post(`/vms/${vm.id}/send_keys`, { keys: names }).catch((error) => toastError(tell(error), t('send_keys')))
  // Without the clipboard (a browser may refuse it) the text is pasted into the dialog by hand.
  const paste = async () => openOverlay(<TypeText vm={vm} initial={(await navigator.clipboard?.readText().catch(() => '')) ?? ''} />)
  const start = opOf('vms', 'start')
  const resume = opOf('vms', 'resume')
  const insert = opOf('vms', 'insert_cd')
  return (
    <div className={`console${own ? ' own' : ''}`}>
      <div className="consolebar" role="toolbar" aria-label={t('console')}>
        <Segmented size="small" value={kind} onChange={(v) => setKind(v as 'vnc' | 'serial')} options={[{ value: 'vnc', label: t('screen'), disabled: vm.graphics === 'none' }, { value: 'serial', label: t('serial'), disabled: vm.serial === false }]} aria-label={t('console_kind')} />
        <ObjectState type="Vm" object={vm} />
        <span className="faint" role="status" data-test="console-status">{status}</span>
        <span className="grow" />
        {kind === 'vnc' && (
          <>
            <Button size="small" onClick={() => (keys ? keys.ctrlAltDel() : press(['ctrl', 'alt', 'delete']))} disabled={!on} data-test="cad">Ctrl+Alt+Del</Button>
            <Dropdown trigger={['click']} menu={{ items: [...COMBINATIONS.map(([label, names]) => ({ key: label, label, onClick: () => press(names) })), { type: 'divider' as const }, { key: 'type', label: t('type_text'), onClick: () => openOverlay(<TypeText vm={vm} />) }] }}>
              <Button size="small" disabled={!on} icon={<Icon name="keyboard" size={13} />}>{t('send_keys')}</Button>
            </Dropdown>
            <Button size="small" disabled={!on} onClick={() => void paste()} title={t('paste_help')} data-test="paste">{t('paste')}</Button>
            <Button size="small" aria-pressed={scale} type={scale ? 'primary' : 'default'} ghost={scale} onClick={() => setScale(!scale)}>{t('scale')}</Button>
            <Button size="small" aria-label={t('picture')} title={t('picture')} icon={<Icon name="download" size={13} />} disabled={!keys} onClick={() => keys?.picture(vm.name)} />
          </>
        )}
        {insert && <Button size="small" disabled={!!refusal(insert, vm) || !vm.cdroms?.length} title={refusal(insert, vm) ?? (vm.cdroms?.length ? insert.l : t('no_cd_drive'))} icon={<Icon name="images" size={13} />} onClick={() => openOverlay(<VerbDialog plural="vms" op={insert} objects={[vm]} />)}>{t('cd')}</Button>}
        <Button size="small" aria-label={t('full_screen')} title={t('full_screen')} icon={<Icon name="screen" size={13} />} onClick={() => keys?.fullScreen()} disabled={!keys} />
        {!own && <Button size="small" icon={<Icon name="external" size={13} />} onClick={() => open(`/console.html#vm=${vm.id}`, `console-${vm.id}`, 'width=1060,height=840')}>{t('own_window')}</Button>}
      </div>
      {!on ? (
        <div className="consoleoff">
          <p>{t('is_off')}</p>
          {start && may(start.right) && !against(start, vm) && <Button type="primary" disabled={!!refusal(start, vm)} title={refusal(start, vm)} icon={<Icon name="play" size={13} />} onClick={() => void send('vms', start, vm.id).catch((error) => toastError(tell(error), start.l))}>{start.l}</Button>}
          {resume && may(resume.right) && !against(resume, vm) && <Button disabled={!!refusal(resume, vm)} title={refusal(resume, vm)} onClick={() => void send('vms', resume, vm.id).catch((error) => toastError(tell(error), resume.l))}>{resume.l}</Button>}
        </div>
      ) : kind === 'vnc' ? <Screen key={vm.id} vm={vm.id} scale={scale} onStatus={setStatus} onKeys={setKeys} firstTicket={ticket} /> : <Serial key={vm.id} vm={vm.id} onStatus={setStatus} />}
    </div>
  )
}
