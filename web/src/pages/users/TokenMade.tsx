// SPDX-License-Identifier: Apache-2.0
// A token that was made: its words stand in the answer to that request and nowhere else, so they are shown until somebody says that they have them.
import { Button, Modal } from 'antd'
import { Copied } from '../../kit/Copied'
import { time } from '../../kit/format'
import { Name } from '../../kit/Name'
import { closeOverlay } from '../../kit/overlay'
import { go } from '../../router'
import { t } from '../../texts'

export default function TokenMade({ made }: { made: { id: string; name: string; token: string; expires?: string } }) {
  const done = () => {
    closeOverlay()
    go(`/api-tokens/${made.id}`)
  }
  return (
    <Modal open title={<>{t('token_made')}: <Name text={made.name} max={60} /></>} width={640} closable={false} maskClosable={false} keyboard={false} footer={<Button type="primary" onClick={done} data-test="have-token">{t('have_token')}</Button>}>
      <div className="stack">
        <p className="lead">{t('token_once')}</p>
        <Copied text={made.token} test="api-token" />
        <p className="soft">{t('token_use')}</p>
        <Copied text={`curl --cacert ca.crt -H "Authorization: Bearer ..." ${location.origin}/api/v1/vms`} test="token-use" />
        {made.expires && <p className="faint">{t('token_expires', { time: time(made.expires) })}</p>}
      </div>
    </Modal>
  )
}
