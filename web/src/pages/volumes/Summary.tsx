// SPDX-License-Identifier: Apache-2.0
// A volume at a glance, and its file for the browser to fetch: the browser shows how far it is, and goes on where it broke off.
import { Button } from 'antd'
import { Card, FactsOf } from '../../kit/Details'
import { Icon } from '../../kit/state/glyphs'
import { may } from '../../live/session'
import { t } from '../../texts'
import type { TabProps } from '../registry'

export default function Summary({ object: volume }: TabProps) {
  const whole = volume.state === 'ready' && !volume.parent && !volume.used_by && may('volume.download') // a linked child's file alone is no disk
  const fetch = whole && <Button size="small" href={`/api/v1/volumes/${volume.id}/data`} download icon={<Icon name="download" size={13} />} data-test="download">{t('download_volume')}</Button>
  return (
    <div className="cards flow">
      <Card title={t('settings')} actions={fetch}>
        <FactsOf type="Volume" object={volume} paths={['kind', 'state', 'pool', 'size_bytes', 'allocated_bytes', 'format', 'provisioning', 'used_by', 'image', 'parent', 'sha256', 'description', 'created']} />
      </Card>
    </div>
  )
}
