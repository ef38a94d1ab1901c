// SPDX-License-Identifier: Apache-2.0
// Who may connect to a host. The list that is sent takes the place of the one that is there, so the form begins with that one; until it is known
// (a row of a list need not have it) nothing can be sent. That nothing may connect is never an empty list that was left as it is: it is said.
import { useEffect } from 'react'
import { Checkbox } from 'antd'
import { Fields } from '../../kit/form/Fields'
import type { FormProps } from '../../kit/verbs/forms'
import { useObject } from '../../live/store'
import { t } from '../../texts'

export default function FirewallFields({ objects, value, change }: FormProps) {
  const many = objects.length > 1
  const { object: host } = useObject(many ? undefined : objects[0]?.id)
  const known = value.enabled !== undefined
  const closed = value.rules?.length === 0 // absent: nothing is said yet
  useEffect(() => {
    if (known || !(host || many)) return
    const { enabled = true, rules = [] } = host?.firewall ?? {}
    change({ enabled, rules: rules.length || (host?.firewall && enabled) ? rules : undefined })
  }, [known, host, many, change])
  if (!known) return <div className="skeleton" aria-busy aria-label={t('loading')} />
  return (
    <>
      <p className="soft">{t(many ? 'firewall_many' : 'firewall_whole')}</p>
      <Fields type="HostSetFirewall" value={value} change={(next) => change({ ...next, enabled: next.enabled ?? true, rules: next.rules?.length ? next.rules : closed ? [] : undefined })} />
      {value.enabled !== false && !value.rules?.length && (
        <>
          <p className="warnword" role="status" data-test="firewall-closed">{t('firewall_closed')}</p>
          <Checkbox checked={closed} onChange={(e) => change({ ...value, rules: e.target.checked ? [] : undefined })} data-test="firewall-nobody">{t('firewall_nobody')}</Checkbox>
        </>
      )}
    </>
  )
}
