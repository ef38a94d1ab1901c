// SPDX-License-Identifier: Apache-2.0
// What the pages that make VMs share: the manager's own reasons while one types (a dry run a moment after the last key), and the order itself.
import { useEffect, useState } from 'react'
import { call, dryRun } from '../../api/client'
import { tell } from '../../kit/error/ErrorBox'
import { fieldErrors } from '../../kit/form/Fields'
import { noteMade } from '../../live/follow'

const CHECK_MS = 400

export function useOrder(path: string, body: unknown, whole: boolean) {
  const [check, setCheck] = useState<{ ok?: boolean; error?: unknown }>({})
  const [busy, setBusy] = useState(false)
  const [error, setError] = useState<unknown>()
  const text = JSON.stringify(body)
  useEffect(() => {
    setCheck({})
    if (!whole) return
    let here = true
    const timer = setTimeout(() => dryRun('POST', path, JSON.parse(text)).then(() => here && setCheck({ ok: true }), (failed) => here && setCheck({ error: failed })), CHECK_MS)
    return () => {
      here = false
      clearTimeout(timer)
    }
  }, [path, text, whole])
  const order = async (made: (task: any) => void) => {
    setBusy(true)
    setError(undefined)
    try {
      const task = await call('POST', path, body)
      noteMade(task)
      made(task)
    } catch (failed) {
      setError(failed)
      setBusy(false)
    }
  }
  const told = error ?? check.error
  return { check, busy, told, order, errors: fieldErrors(told === undefined ? undefined : tell(told)) }
}
