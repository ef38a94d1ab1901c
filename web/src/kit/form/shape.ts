// SPDX-License-Identifier: Apache-2.0
// What a page's folder says of the form of its type beyond the contract: what stands first, what has no meaning with what was chosen, which
// objects may be chosen, and words of choices that mean something else here than elsewhere.
import { fieldsOf, resource } from '../../api/contract'
import type { Obj } from '../../api/client'
import type { Part } from '../part'
import type { Values } from './Fields'

export type Among = Record<string, ((row: Obj) => boolean) | undefined>

export interface FormShape {
  /** Shown unfolded when it is made, in this order. */
  first?: string[]
  /** Fields without a meaning for these values: not shown, not sent. */
  hide?: (value: Values) => string[]
  /** Choices that exist and cannot be made here. */
  never?: Record<string, string[]>
  /** Shown when it is made, in place of its page: for what only the answer to that request says, and so loaded before it. */
  made?: Part<{ made: any }>
  /** By field: only these objects may be chosen. A hook, for it may have to look others up. */
  useAmong?: (value: Values) => Among
}

const NOTHING: Among = {}
export const useNothing = (): Among => NOTHING

const shapes = new Map<string, FormShape>()

export function registerForm(plural: string, shape: FormShape) {
  shapes.set(plural, shape)
  for (const [name, choices] of Object.entries(shape.never ?? {})) {
    const known = fieldsOf(resource(plural)?.type ?? '')[name]
    if (known) known.never = choices
  }
}
export const formShape = (plural: string): FormShape => shapes.get(plural) ?? {}

/** Words of the choices of one field. */
export function registerChoices(type: string, field: string, words: Record<string, string>) {
  const known = fieldsOf(type)[field]
  if (known) known.w = words
}

/** What a field of many words may hold, offered while somebody types; other words may be typed too. */
export function registerOffers(type: string, field: string, offers: () => { value: string; label: string }[]) {
  const known = fieldsOf(type)[field]
  if (known) known.offers = offers
}

/** Without what has no meaning. */
export function meant(plural: string, value: Values): Values {
  const hidden = formShape(plural).hide?.(value) ?? []
  return hidden.length ? Object.fromEntries(Object.entries(value).filter(([name]) => !hidden.includes(name) || !fieldsOf(resource(plural)!.type)[name])) : value
}
