// SPDX-License-Identifier: Apache-2.0
import { Button } from 'antd'
import { opOf, resource } from '../api/contract'
import { Icon } from '../kit/state/glyphs'
import { ListView } from '../kit/table/ListView'
import { CreateDialog } from '../kit/form/CreateDialog'
import { openOverlay } from '../kit/overlay'
import { withheld } from '../kit/verbs/check'
import type { TypePage } from '../pages/registry'
import { t } from '../texts'

export function ListPage({ plural, page }: { plural: string; page?: TypePage }) {
  const kind = resource(plural)!
  const create = opOf(plural, 'create')
  const Actions = page?.listActions
  const Empty = page?.empty
  return (
    <div className="listpage">
      <div className="pagehead">
        <Icon name={plural} size={20} />
        <h1>{kind.many}</h1>
      </div>
      <ListView
        plural={plural} base={plural === 'vms' ? 'management!=in_bin' : undefined} empty={Empty && <Empty />}
        actions={Actions ? <Actions /> : create && plural !== 'sessions' ? (
          <Button type="primary" disabled={!!withheld(create.right)} title={withheld(create.right)} icon={<Icon name="plus" size={13} />} onClick={() => openOverlay(<CreateDialog plural={plural} />)} data-test="create">
            {t('new', { kind: kind.one })}
          </Button>
        ) : undefined}
      />
    </div>
  )
}
