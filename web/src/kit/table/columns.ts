// SPDX-License-Identifier: Apache-2.0
// Columns of lists as the page of a type wants them; without a page the contract's columns stand.
import type { ReactNode } from 'react'
import type { Obj } from '../../api/client'

export interface ColumnSpec {
  columns: string[]
  sort?: string
  cells?: Record<string, { title?: () => string; width?: number; number?: boolean; sort?: string; cell?: (row: Obj) => ReactNode }>
}

const specs = new Map<string, ColumnSpec>()
export const registerColumns = (plural: string, spec: ColumnSpec) => specs.set(plural, spec)
export const columnsFor = (plural: string) => specs.get(plural)
