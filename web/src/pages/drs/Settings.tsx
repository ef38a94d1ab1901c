// SPDX-License-Identifier: Apache-2.0
import { fieldsOf } from '../../api/contract'
import { FactsOf } from '../../kit/Details'

/** Settings as they hold: what is not set is at its default. */
export function settings(type: string, value: Record<string, any> | undefined): Record<string, any> {
  return Object.fromEntries(Object.entries(fieldsOf(type)).map(([name, field]) => [name, value?.[name] ?? field.def]))
}

export function SettingsOf({ type, value }: { type: string; value: Record<string, any> | undefined }) {
  return <FactsOf type={type} object={settings(type, value)} paths={Object.keys(fieldsOf(type))} />
}
