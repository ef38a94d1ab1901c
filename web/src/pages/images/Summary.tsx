// SPDX-License-Identifier: Apache-2.0
import { Button } from 'antd'
import { Card, FactsOf } from '../../kit/Details'
import { LastEvents } from '../../kit/lists'
import { Icon } from '../../kit/state/glyphs'
import { withheld } from '../../kit/verbs/check'
import { go } from '../../router'
import { t } from '../../texts'
import type { TabProps } from '../registry'

export default function Summary({ object: image }: TabProps) {
  return (
    <div className="cards flow">
      <Card title={t('image')} actions={image.kind === 'disk' && <Button size="small" type="primary" disabled={image.state !== 'ready' || !!withheld('vm.create')} title={withheld('vm.create')} icon={<Icon name="plus" size={12} />} onClick={() => go(`/vms/deploy?image=${image.id}`)} data-test="deploy">{t('deploy')}</Button>}>
        <FactsOf type="Image" object={image} paths={['kind', 'architecture', 'os.family', 'os.variant', 'firmware', 'cloud_init', 'guest_agent', 'min_vcpus', 'min_memory_bytes']} />
        {image.state_reason && <p className="notice" dir="auto">{image.state_reason}</p>}
      </Card>
      <Card title={t('storage')}><FactsOf type="Image" object={image} paths={['pool', 'volume', 'format', 'size_bytes', 'sha256', 'created']} /></Card>
      <Card title={t('last_events')} className="double"><LastEvents filter={`object=${image.id}`} /></Card>
    </div>
  )
}
