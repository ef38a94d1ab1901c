// SPDX-License-Identifier: Apache-2.0
// Emptying a host: what becomes of each VM on it, before anything is started.
import { Fields } from '../../kit/form/Fields'
import { Name } from '../../kit/Name'
import { StateGlyph } from '../../kit/state/State'
import type { FormProps } from '../../kit/verbs/forms'
import { useRows } from '../../live/store'
import { t } from '../../texts'
import { bytes } from '../../kit/format'

const SHOWN = 8

export default function MaintenanceFields({ objects, value, change }: FormProps) {
  const host = objects[0]!
  const { rows, total, loading } = useRows(objects.length === 1 ? 'vms' : undefined, { filter: `host=${host.id} and power.state!=off and management!=in_bin`, sort: '-memory_bytes' }, 200)
  const memory = rows.reduce((n, row) => n + (row.memory_bytes ?? 0), 0)
  return (
    <>
      {objects.length === 1 && (
        <div className="review">
          <div className="soft" aria-busy={loading}>{loading ? t('loading') : total ? t('vms_here', { n: total, size: bytes(memory) }) : t('no_vms_run_here')}</div>
          <ul className="names">
            {rows.slice(0, SHOWN).map((row) => <li key={row.id}><StateGlyph type="Vm" object={row} size={14} /> <Name text={row.name} max={32} /> <span className="faint">{bytes(row.memory_bytes)}</span></li>)}
            {total > SHOWN && <li className="faint">{t('and_more', { n: total - SHOWN })}</li>}
          </ul>
        </div>
      )}
      <Fields type="HostEnterMaintenance" only={value.vms === 'shut_down' ? ['vms', 'shut_down_timeout_s'] : ['vms']} value={value} change={change} />
    </>
  )
}
