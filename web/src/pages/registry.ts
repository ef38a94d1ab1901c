// SPDX-License-Identifier: Apache-2.0
// Pages of types: each folder here that has a page.tsx is one. Whatever has no folder gets the general page, made from the contract.
import type { ComponentType, LazyExoticComponent } from 'react'
import type { Obj } from '../api/client'

export interface TabProps { object: Obj; plural: string }
type Part = ComponentType<TabProps> | LazyExoticComponent<ComponentType<TabProps>>

export interface Tab { key: string; label: () => string; part: Part; shown?: (object: Obj) => boolean; count?: (object: Obj) => number | undefined }

export interface TypePage {
  plural: string
  /** Tabs before those that every type has (Configure, related lists, Events, Tasks). */
  tabs?: Tab[]
  /** In place of the general summary. */
  summary?: Part
  /** Under the list's head. */
  listActions?: ComponentType
  /** When there is nothing yet. */
  empty?: ComponentType
  /** Related lists that other types give and that are not wanted here. */
  without?: string[]
  /** Path of the object above it. */
  parent?: (object: Obj) => string | undefined
}

/** A page with an address of its own, such as /vms/deploy. */
export interface Address { path: string; page: ComponentType | LazyExoticComponent<ComponentType>; title: () => string }

const pages = new Map<string, TypePage>()
const addresses = new Map<string, Address>()

export const registerPage = (page: TypePage) => pages.set(page.plural, page)
export const registerAddress = (address: Address) => addresses.set(address.path, address)
export const pageOf = (plural: string) => pages.get(plural)
export const addressOf = (path: string) => addresses.get(path)
export const allAddresses = () => [...addresses.values()]
