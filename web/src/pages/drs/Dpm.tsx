// SPDX-License-Identifier: Apache-2.0
// Hosts that nobody needs: what is wanted of those that are on, and what DPM would do about it.
import type { Obj } from '../../api/client'
import type { DpmStatus } from '../../api/generated/types'
import { Card, EditButton, Fact, Facts } from '../../kit/Details'
import { ErrorBox, tell } from '../../kit/error/ErrorBox'
import { count } from '../../kit/format'
import { Ref } from '../../kit/Name'
import { Said } from '../../kit/Said'
import { Glyph } from '../../kit/state/glyphs'
import { useView } from '../../live/view'
import { t } from '../../texts'
import { Wanted } from './Bars'
import { settings, SettingsOf } from './Settings'

const MADE_OF = ['Host', 'Vm', 'Cluster']

export function Dpm({ cluster }: { cluster: Obj }) {
  const { value, error } = useView<DpmStatus>(`/clusters/${cluster.id}/dpm_status`, MADE_OF)
  const set = settings('ClusterDpm', cluster.dpm)
  const acts = value?.action === 'sleep' || value?.action === 'wake'
  return (
    <Card title="DPM" actions={<EditButton plural="clusters" object={cluster} only={['dpm']} title="DPM" />}>
      {error && <ErrorBox error={tell(error)} />}
      {value && (
        <>
          <p className="allwell" data-test="dpm-says">
            <Glyph name={acts ? 'hourglass' : 'tick'} colour={acts ? 'busy' : 'ok'} />
            <span>{acts ? <Said text={t(`dpm_${value.reason ?? 'busy'}`)} parts={{ host: <Ref id={value.host} max={30} /> }} /> : t('dpm_nothing')} {set.level === 'off' && <span className="faint">{t('dpm_off')}</span>}</span>
          </p>
          <div className="wantedlines">
            <span>CPU</span><Wanted label="CPU" value={value.cpu_percent} forecast={value.cpu_forecast_percent} limit={set.high_cpu_percent} />
            <span>{t('memory')}</span><Wanted label={t('memory')} value={value.memory_percent} limit={set.high_memory_percent} />
          </div>
          <Facts>
            <Fact label={t('hosts_on')}>{count(value.hosts_on)}</Fact>
            <Fact label={t('hosts_asleep')}>{count(value.hosts_asleep)}</Fact>
          </Facts>
        </>
      )}
      <h3>{t('settings')}</h3>
      <SettingsOf type="ClusterDpm" value={cluster.dpm} />
    </Card>
  )
}
