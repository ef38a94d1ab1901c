// SPDX-License-Identifier: Apache-2.0
// What runs on a host, how its versions changed, and what its package manager did last, which the host is asked for when this is opened.
import { Button } from 'antd'
import type { HostPackages } from '../../api/generated/types'
import { fieldsOf } from '../../api/contract'
import { Card, FactsOf, PartTable } from '../../kit/Details'
import { ErrorBox, tell } from '../../kit/error/ErrorBox'
import { LastEvents } from '../../kit/lists'
import { Icon } from '../../kit/state/glyphs'
import { useView } from '../../live/view'
import { t } from '../../texts'
import type { TabProps } from '../registry'

const NOTHING: string[] = []

export default function Software({ object: host }: TabProps) {
  const { value, error, asking, again } = useView<HostPackages>(`/hosts/${host.id}/packages`, NOTHING)
  return (
    <div className="cards">
      <Card title={fieldsOf('HostFacts').versions?.l}><FactsOf type="HostVersions" object={host.facts?.versions ?? {}} paths={['os', 'kernel', 'agent', 'libvirt', 'qemu', 'ovs']} /></Card>
      <Card title={t('version_changes')}><LastEvents filter={`object=${host.id} and text=host_version_changed`} /></Card>
      <Card title={t('package_changes')} wide actions={<Button size="small" loading={asking} icon={<Icon name="restart" size={12} />} onClick={again}>{t('read_again')}</Button>}>
        {error && <ErrorBox error={tell(error)} />}
        {value && <PartTable type="HostPackageChange" rows={(value.changes ?? []).map((change, i) => ({ ...change, key: i }))} paths={['time', 'action', 'package', 'version', 'before']} />}
      </Card>
    </div>
  )
}
