SELECT '{{ params.name if params.name is defined else '' }}' -- {{ ds }}
