// SPDX-License-Identifier: Apache-2.0
const parts = import.meta.glob<Record<string, string>>('/src/**/texts.zh.json', { eager: true, import: 'default' })
export default Object.assign({}, ...Object.values(parts)) as Record<string, string>
