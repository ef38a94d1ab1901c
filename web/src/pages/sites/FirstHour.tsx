// SPDX-License-Identifier: Apache-2.0
// From nothing to a running guest: four steps, each with its button and why; a step that is done is ticked by what is there.
import { Button } from 'antd'
import { useRows } from '../../live/store'
import { Icon, Glyph } from '../../kit/state/glyphs'
import { openOverlay } from '../../kit/overlay'
import { go } from '../../router'
import { t } from '../../texts'
import { JoinHost } from '../hosts/JoinHost'
import { NewPool } from '../pools/NewPool'

export function FirstHour({ hide }: { hide: () => void }) {
  const hosts = useRows('hosts', { filter: 'state=connected' }, 1)
  const pools = useRows('pools', { filter: 'state=active' }, 1)
  const images = useRows('images', { filter: 'state=ready' }, 1)
  const vms = useRows('vms', {}, 1)
  const steps = [
    { key: 'host', done: hosts.total > 0, open: () => openOverlay(<JoinHost />), minutes: 2 },
    { key: 'pool', done: pools.total > 0, open: () => openOverlay(<NewPool />), minutes: 1 },
    { key: 'image', done: images.total > 0, open: () => go('/images/upload'), minutes: 3 },
    { key: 'vm', done: vms.total > 0, open: () => go('/vms/deploy'), minutes: 1 },
  ]
  const next = steps.findIndex((s) => !s.done)
  return (
    <section className="firsthour" aria-label={t('first_steps')} data-test="first-hour">
      <header><h2>{t('first_steps_title')}</h2><span className="grow" /><Button size="small" type="text" onClick={hide}>{t('hide')}</Button></header>
      <ol>
        {steps.map((step, i) => (
          <li key={step.key} className={step.done ? 'done' : i === next ? 'next' : ''} data-step={step.key} data-done={step.done}>
            <span className="stepmark">{step.done ? <Glyph name="tick" colour="ok" title={t('step_done')} /> : i + 1}</span>
            <div className="grow">
              <b>{t(`step_${step.key}`)}</b>
              <p>{t(`step_${step.key}_why`)}</p>
            </div>
            <span className="faint">{step.done ? '' : t('about_minutes', { n: step.minutes })}</span>
            <Button type={i === next ? 'primary' : 'default'} disabled={step.key === 'vm' && !(pools.total && images.total)} onClick={step.open} icon={step.done ? <Icon name="plus" size={12} /> : undefined}>{t(`step_${step.key}_do`)}</Button>
          </li>
        ))}
      </ol>
    </section>
  )
}
