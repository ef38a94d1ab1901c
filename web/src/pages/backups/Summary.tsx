// SPDX-License-Identifier: Apache-2.0
import { Copied } from '../../kit/Copied'
import { Card, FactsOf } from '../../kit/Details'
import { t } from '../../texts'
import type { TabProps } from '../registry'

export default function Summary({ object: backup }: TabProps) {
  return (
    <div className="cards">
      <Card title={t('settings')}><FactsOf type="Backup" object={backup} paths={['time', 'kind', 'database', 'program', 'rows', 'size_bytes', 'note', 'file', 'sha256']} /></Card>
      <Card title={t('restore_backup')}>
        <p className="soft">{t('restore_backup_how')}</p>
        <Copied text={`wincenterd --data-dir /var/lib/winsphere/center --restore /var/lib/winsphere/center/backups/${backup.file ?? ''}`} test="restore-command" />
        <p className="faint">{t('restore_backup_safe')}</p>
      </Card>
    </div>
  )
}
